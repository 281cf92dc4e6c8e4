"""One schema of the browser's records: what it prints, and that every field is described."""

import pytest

from viz.records.schema import PARTS, RECORDS, Budget, PathEnd, Source
from viz.records.typedef import TARGET, documented, replaced


def test_the_browser_s_types_are_those_of_the_schema():
    source = TARGET.read_text(encoding="utf-8")
    assert replaced(source) == source, "run python -m viz.records.typedef"


# Lists on the wire, described in tr_core.trace.
LISTS = (Budget, PathEnd, Source)


@pytest.mark.parametrize("struct", [s for s in PARTS + RECORDS if s not in LISTS])
def test_every_field_is_described(struct):
    assert set(documented(struct)) == set(struct.__struct_fields__)
