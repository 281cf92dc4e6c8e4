"""``models``, ``drafters``, ``trees``: what can be chosen."""

from __future__ import annotations

import argparse
from typing import Any

from tr_core.cli.shared import show
from tr_core.models import catalog
from tr_core.trees import templates


def models(args: argparse.Namespace) -> None:
    rows = [{"name": e.name, "source": e.source, "summary": e.summary} for e in catalog.entries()]
    _show(args, "models", rows)


def drafters(args: argparse.Namespace) -> None:
    from tr_core.drafters.registry import DRAFTERS

    rows = [{"name": name, "summary": d.summary} for name, d in DRAFTERS.items()]
    _show(args, "drafters", rows)


def trees(args: argparse.Namespace) -> None:
    rows: list[dict[str, Any]] = [
        {
            "name": "auto",
            "nodes": None,
            "depth": None,
            "summary": "as many nodes as pay on this machine, measured; none if none do",
        }
    ]
    for name, (make, summary) in templates.NAMED.items():
        tree = make()
        rows.append({"name": name, "nodes": tree.nodes, "depth": tree.depth, "summary": summary})
    _show(args, "trees", rows)


def _show(args: argparse.Namespace, title: str, rows: list[dict[str, Any]]) -> None:
    width = max(len(row["name"]) for row in rows) + 2
    text = "\n".join(f"{row['name']:<{width}}{row['summary']}" for row in rows)
    show(args, {title: rows}, text)
