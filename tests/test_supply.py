"""What `make supply` lets in: licences by their terms, and an audit that was not made is not a clean one."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FILE = Path(__file__).parents[1] / ".ci" / "supply.py"


@pytest.fixture(scope="module")
def supply() -> ModuleType:
    spec = importlib.util.spec_from_file_location("supply", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def component(*licences: dict[str, Any], name: str = "thing") -> dict[str, Any]:
    return {"components": [{"name": name, "version": "1.0", "licenses": list(licences)}]}


@pytest.mark.parametrize(
    ("licences", "is_let_in"),
    [
        ([{"license": {"id": "MIT"}}], True),
        ([{"license": {"id": "AGPL-3.0-only"}}], False),
        ([{"expression": "GPL-2.0-only OR MIT"}], True),
        ([{"expression": "(Apache-2.0 AND GPL-3.0-only) OR SSPL-1.0"}], False),
        ([{"expression": "MIT AND Zlib"}], True),
        ([{"license": {"name": "License :: OSI Approved :: BSD License"}}], True),
        ([{"license": {"name": "License :: OSI Approved :: GNU General Public License (GPL)"}}], False),
        ([{"license": {"id": "MIT"}}, {"license": {"name": "License :: Other/Proprietary License"}}], True),
        ([], False),
    ],
)
def test_a_package_comes_in_by_its_terms_only(
    supply: ModuleType, licences: list[dict[str, Any]], is_let_in: bool
) -> None:
    """A package without a licence, or one that would bind our own code, came in with an upgrade and nobody looked."""
    found = list(supply.unknown_terms(component(*licences)))
    assert (not found) == is_let_in, found


def test_a_package_that_somebody_looked_at_comes_in(supply: ModuleType) -> None:
    """Its metadata is silent; its repository is not."""
    assert list(supply.unknown_terms(component(name="python-geohash"))) == []
    assert all(supply.LOOKED_AT.values())


def test_an_audit_of_nothing_is_said_to_be_none(supply: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """Behind a mirror without advisories every package was "skipped", and the audit said: no known vulnerabilities."""
    silent = [{"name": "a", "skip_reason": "not found"}, {"name": "b", "skip_reason": "not found"}]
    assert supply.judge("x.lock", silent) == []
    assert "warning: x.lock was not audited" in capsys.readouterr().out


def test_a_known_vulnerability_is_a_finding_with_its_remedy(supply: ModuleType) -> None:
    """Whoever sees it must know which version to ask for."""
    flaw = {"id": "GHSA-1", "fix_versions": ["1.2"], "aliases": [], "description": ""}
    answer = [{"name": "a", "version": "1.0", "vulns": [flaw]}, {"name": "b", "version": "2", "vulns": []}]
    assert supply.judge("x.lock", answer) == ["x.lock: a 1.0: GHSA-1, mended in 1.2"]
