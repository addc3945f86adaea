"""The generated reference says what the code says."""

from __future__ import annotations

import pytest

from weathervane_assets.reference import DOCS, reference


@pytest.mark.parametrize("path", sorted(reference()), ids=str)
def test_the_reference_is_up_to_date(path: object) -> None:
    """A table in the docs that the code left behind is worse than none. To mend: `make reference`."""
    assert (DOCS / path).read_text(encoding="utf-8") == reference()[path]  # type: ignore[operator,index]
