"""The asset `tenant_report` as Dagster runs it, the command, and that the template is in the wheel."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result
from hatchling.builders.wheel import WheelBuilder

from tests.assets.conftest import Installation
from tests.assets.tenant_report.documents import Document
from weathervane_assets.backfill import Outcome
from weathervane_assets.cli import main
from weathervane_assets.definitions import build_defs
from weathervane_assets.schedules import ROUTINES
from weathervane_assets.tenant_report.asset import LARGEST_BYTES, foreign_references
from weathervane_resources.lake_errors import LakeError

ROOT = Path(__file__).parents[3]
PATH = "_reports/acme/report.html"


def execute(here: Installation) -> dg.ExecuteInProcessResult:
    return here.execute("dq_report_job", partition="acme", raise_on_error=False)


def weathervane(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["report", *arguments])


def test_the_page_is_made_after_the_quality_report_and_says_where_it_is(filled: tuple[Installation, Outcome]) -> None:
    """The page of the morning showed the quality of the morning before."""
    here, _ = filled
    result = execute(here)
    assert result.success
    made = [e.asset_key.path[-1] for e in result.all_events if e.is_step_materialization and e.asset_key]
    assert made == ["dq_report", "tenant_report"]
    (event,) = result.asset_materializations_for_node("tenant_report")
    stored = here.lake.files.read(PATH) or b""
    assert event.partition == "acme"
    assert event.metadata["path"].value == here.lake.files.address(PATH)
    assert event.metadata["bytes"].value == len(stored)
    said = {e.check_name: e for e in result.get_asset_check_evaluations()}["stands_alone"]
    metadata = {name: value.value for name, value in said.metadata.items()}
    assert said.passed
    assert (metadata["tenant"], metadata["window"], metadata["alerts"]) == ("acme", "2026-10-16/2026-11-19", "")
    assert (metadata["observed"], metadata["threshold"]) == (len(stored), LARGEST_BYTES)
    page = Document(stored.decode())
    assert page.card("Newest complete day") == "19 Nov 2026"
    assert "The quality reports kept since" in page.section("health").text


def test_a_page_that_cannot_be_written_fails_nothing_but_itself(installation: Installation) -> None:
    """A full disk under the reports once stopped the night's orders."""
    lake = installation.lake
    lake.files.write(f"{PATH}/is-a-folder", "")
    if not lake.files.is_local:
        pytest.skip("in a bucket a file and a folder of one name stand side by side")
    result = execute(installation)
    assert not result.success
    assert [e.asset_key.path[-1] for e in result.all_events if e.is_step_materialization and e.asset_key] == [
        "dq_report"
    ]
    failed = result.get_failed_step_keys()
    assert failed == {"tenant_report"}
    error = next(e for e in result.all_events if e.is_step_failure).step_failure_data.error
    assert LakeError.__name__ in error.to_string()
    assert installation.backfill("acme", date(2026, 11, 19), date(2026, 11, 19), "orders").is_good


def test_no_run_that_brings_something_in_makes_the_page() -> None:
    """A night that also draws ends later, and fails more often."""
    repository = build_defs({}).get_repository_def()
    jobs = {job.name: job for job in repository.get_all_jobs()}
    key = dg.AssetKey("tenant_report")
    having = {name for name, job in jobs.items() if key in job.asset_layer.executable_asset_keys and name[0] != "_"}
    assert having == {"dq_report_job"}
    assert {routine.name for routine in ROUTINES} <= set(jobs)


@pytest.mark.parametrize(
    ("tag", "found"),
    [
        ('<a href="#here">', 0), ('<img alt="" src="data:image/png;base64,AA">', 0), ("<p>http://elsewhere</p>", 0),
        ('<a href="https://elsewhere/">', 1), ('<img src="//elsewhere/a.png">', 1), ("<script>", 1), ('<p onclick="x()">', 1),
        ('<use xlink:href="http://elsewhere#a">', 1), ('<a href="javascript:x()">', 1), ('<iframe srcdoc="">', 1),
    ],
)  # fmt: skip
def test_what_leads_outside_is_seen(tag: str, found: int) -> None:
    """A check that finds nothing in anything finds nothing."""
    assert len(foreign_references(f"<!doctype html><body>{tag}")) == found


def test_the_command_writes_where_it_is_told_and_says_what(
    filled: tuple[Installation, Outcome], tmp_path: Path
) -> None:
    """A report is for sending: the file must be where one looks for it, and the command line must say where that is."""
    here, _ = filled
    done = weathervane("--tenant", "acme", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.output)
    stored = here.lake.files.read(PATH) or b""
    assert said["path"] == here.lake.files.address(PATH)
    assert (said["tenant"], said["bytes"], said["window"]["end"]) == ("acme", len(stored), "2026-11-19")
    file = tmp_path / "new" / "for the client.html"
    done = weathervane("--tenant", "acme", "--output", str(file))
    assert done.output.startswith(f"{file}: {file.stat().st_size:,} bytes, ")
    assert Document(file.read_text()).one("html").attrs["lang"] == "en"
    assert [one.name for one in file.parent.iterdir()] == [file.name], "nothing unfinished is left"


@pytest.mark.parametrize("tenant", ["nobody", "../acme", "acme/../kiwi", "ACME", ""])
def test_a_tenant_that_is_none_is_refused_before_anything_is_written(
    filled: tuple[Installation, Outcome], tmp_path: Path, tenant: str
) -> None:
    """A tenant's id becomes a path."""
    done = weathervane("--tenant", tenant, "--output", str(tmp_path / "x.html"))
    assert done.exit_code == 2
    assert (f"unknown tenant {tenant!r}" if tenant else "it is empty") in done.output
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_one_line_and_exit_code_2(
    filled: tuple[Installation, Outcome], tmp_path: Path
) -> None:
    """A traceback of forty lines for a folder that is a file."""
    (tmp_path / "file").write_text("")
    done = weathervane("--tenant", "acme", "--output", str(tmp_path / "file" / "x.html"))
    assert done.exit_code == 2
    assert "name a file in a folder that can be" in done.output
    assert done.output.count("\n") == 1


def test_the_wheel_has_the_template() -> None:
    """From a checkout the page was made; from the wheel it said TemplateNotFound."""
    packed = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    folder = ROOT / "weathervane_assets" / "tenant_report" / "templates"
    wanted = {file.relative_to(ROOT).as_posix() for file in folder.iterdir()}
    assert len(wanted) == 8
    assert wanted <= packed
