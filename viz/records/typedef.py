"""The structs of ``schema.py`` as JSDoc types.

``python -m viz.records.typedef`` writes them into ``static/state/records.js``, between two lines
that say so.
"""

from __future__ import annotations

import re
import textwrap
import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct, UnsetType

from viz.assets import STATIC
from viz.records.schema import CHANCES, PARTS, RECORDS

TARGET = STATIC / "state" / "records.js"
BEGIN = "// Printed by `python -m viz.records.typedef`; edit viz/records/schema.py instead."
END = "// End of what is printed."
COLUMNS = 100
_NAMES = {int: "number", float: "number", str: "string", bool: "boolean", type(None): "null"}


def printed() -> str:
    """The whole section, both lines included."""
    received = " | ".join(struct.__name__ for struct in RECORDS)
    blocks = [
        *(_block(struct) for struct in (*PARTS, *RECORDS)),
        _comment(["What the page receives.", f"@typedef {{{received}}} Received"]),
        "/** Probabilities are whole numbers of these parts: `CHANCES` of the schema. */\n"
        f"export const CHANCES = {CHANCES:_};",
    ]
    return "\n\n".join([BEGIN, *blocks, END])


def replaced(source: str) -> str:
    """A module's text with the section as it is printed now."""
    start, end = source.index(BEGIN), source.index(END) + len(END)
    return source[:start] + printed() + source[end:]


def _block(struct: type[Struct]) -> str:
    summary = (struct.__doc__ or "").split("\n\n")[0].replace("``", "`")
    if struct.__struct_config__.array_like:
        items = ", ".join(f"{name}: {type_}" for name, _, type_, _ in _fields(struct))
        return _comment([summary, f"@typedef {{[{items}]}} {struct.__name__}"])
    lines = [summary, f"@typedef {{object}} {struct.__name__}"]
    if tag := struct.__struct_config__.tag:
        lines.append(f'@property {{"{tag}"}} type')
    for name, optional, type_, doc in _fields(struct):
        lines.append(f"@property {{{type_}}} {f'[{name}]' if optional else name} {doc}".rstrip())
    return _comment(lines)


def _comment(lines: list[str]) -> str:
    body = [part for line in lines for part in _wrapped(line)]
    return "\n".join(["/**", *(f" * {part}" for part in body), " */"])


def _wrapped(line: str) -> list[str]:
    indent = "  " if line.startswith("@") else ""
    return textwrap.wrap(
        " ".join(line.split()), COLUMNS - 3, subsequent_indent=indent, break_on_hyphens=False
    )


def _fields(struct: type[Struct]) -> Iterator[tuple[str, bool, str, str]]:
    """Name on the wire, whether it can be missing, type and description of each field."""
    hints, docs = get_type_hints(struct), documented(struct)
    for field in msgspec.structs.fields(struct):
        options = [o for o in _options(hints[field.name]) if o is not UnsetType]
        omitted = not field.required and struct.__struct_config__.omit_defaults
        optional = omitted or len(options) < len(_options(hints[field.name]))
        if omitted and field.default is None:
            options = [o for o in options if o is not type(None)]
        type_ = " | ".join(dict.fromkeys(map(_name, options)))
        yield field.encode_name, optional, type_, docs.get(field.name, "")


def documented(struct: type[Struct]) -> dict[str, str]:
    """Descriptions out of the ``Attributes`` of a docstring."""
    _, _, text = (struct.__doc__ or "").partition("Attributes:\n")
    docs: dict[str, str] = {}
    for entry in re.split(r"\n(?= {8}\S)", text.rstrip()) if text else []:
        names, _, doc = entry.strip().partition(": ")
        docs |= dict.fromkeys(names.split(", "), " ".join(doc.replace("``", "`").split()))
    return docs


def _options(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _name(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " | ".join(f'"{value}"' for value in arguments)
    if origin is dict:
        return f"Record<string, {_name(arguments[1])}>"
    if origin in (list, tuple) and (origin is list or arguments[-1] is ...):
        inner = " | ".join(map(_name, _options(arguments[0])))
        return f"({inner})[]" if " | " in inner else f"{inner}[]"
    if origin is tuple:
        return f"[{', '.join(' | '.join(map(_name, _options(a))) for a in arguments)}]"
    if isinstance(hint, type) and issubclass(hint, Struct):
        return hint.__name__
    return _NAMES.get(hint, "any")


if __name__ == "__main__":
    TARGET.write_text(replaced(TARGET.read_text(encoding="utf-8")), encoding="utf-8")
