"""WEATHERVANE_LOG_FORMAT=json: whatever a process logs is one JSON object a line, says whose it is, and holds no credential."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from datetime import datetime
from typing import Any

import pytest
from aiohttp import web

from tests.assets.conftest import Installation
from tests.serving import serving
from weathervane_resources.http.errors import Unavailable
from weathervane_resources.logs import JsonFormatter

SECRET = "PLANTED-meta-token"
ALWAYS = {"ts", "level", "logger", "message", "run_id", "tenant", "asset"}
Line = dict[str, Any]


def lines_of(text: str) -> list[Line]:
    return [json.loads(line) for line in text.splitlines()]


def python(code: str, **env: str) -> list[Line]:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "WEATHERVANE_LOG_FORMAT": "json", **env}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return lines_of(done.stderr)


def refusing() -> web.Application:
    """A vendor that is overloaded once and then refuses, quoting the token in two lines."""
    calls: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        calls.append(request.path)
        if len(calls) == 1:
            return web.json_response({"error": {"message": "busy"}}, status=503, headers={"Retry-After": "1"})
        said = {"message": f"Malformed access token\n{SECRET} access_token={SECRET}", "code": 100}
        return web.json_response({"error": said}, status=400)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    return app


@pytest.fixture
def refused(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> list[Line]:
    """What a run of meta_ads prints whose vendor refuses, in a process of its own, on an instance of its own.

    The command of Dagster that starts it warns of its own age before it loads any code, and says last what it exits with.
    """
    monkeypatch.setenv("WEATHERVANE_LOG_FORMAT", "json")
    monkeypatch.setenv("ACME__META_ACCESS_TOKEN", SECRET)
    monkeypatch.setenv("ACME__META_AD_ACCOUNT_ID", "1000001")
    home = installation.folder / "dagster"
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    prepare = (
        "import dagster as dg\n"
        "from weathervane_assets.partitions import TENANT_PARTITIONS\n"
        "dg.DagsterInstance.get().add_dynamic_partitions(TENANT_PARTITIONS, ['acme'])"
    )
    subprocess.run([sys.executable, "-c", prepare], check=True, timeout=120, capture_output=True)
    module = ["-m", "weathervane_assets.definitions", "--select", "meta_ads"]
    with serving(refusing()) as url:
        done = subprocess.run(
            [sys.executable, "-m", "dagster", "asset", "materialize", *module, "--partition", "2026-11-18|acme"],
            env={**os.environ, "META_BASE_URL": url, "PYTHONWARNINGS": "ignore"}, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert SECRET not in done.stdout + done.stderr
    *said, last = done.stderr.splitlines()
    assert last == "Error: Materialization failed."
    return lines_of("\n".join(said))


def test_each_line_of_a_run_is_an_object_that_says_whose_it_is(refused: list[Line]) -> None:
    """A traceback of 60 lines is 60 entries in a log store, and none says which tenant's night it was."""
    assert all(set(line) >= ALWAYS for line in refused)
    assert all(datetime.fromisoformat(line["ts"]).utcoffset() is not None for line in refused)
    (failed,) = [line for line in refused if line.get("event") == "STEP_FAILURE"]
    assert (failed["tenant"], failed["asset"], failed["level"]) == ("acme", "meta_ads", "ERROR")
    assert failed["job"]
    assert failed["step"] == "meta_ads"
    assert "\n" in failed["exception"]
    run_ids = {line["run_id"] for line in refused if line["run_id"]}
    assert run_ids == {failed["run_id"]}
    (waiting,) = [line for line in refused if "waiting" in line["message"]]
    assert waiting["logger"] == "weathervane_resources.http.session"
    assert (waiting["run_id"], waiting["tenant"], waiting["asset"]) == (failed["run_id"], "acme", "meta_ads")
    assert waiting["vendor"] == "meta_ads"
    assert len({json.dumps(line) for line in refused}) == len(refused)


def test_a_sensors_and_a_code_servers_lines_are_objects_too() -> None:
    """Dagster prints a tick's lines by a logger of its own making, and a server's by one that it has set up before."""
    code = (
        "import logging, warnings\n"
        "from dagster._utils.log import configure_loggers; configure_loggers()\n"
        "from weathervane_assets.definitions import defs; defs()\n"
        "from dagster._core.definitions.instigation_logger import InstigationLogger\n"
        "InstigationLogger().error('a tick\\nof two lines')\n"
        "logging.getLogger('dagster.code_server').info('started')\n"
        "logging.getLogger('weathervane_resources.tokens').info('ours')\n"
        "warnings.warn('odd', stacklevel=1)\n"
        "raise SystemError('the end')"
    )
    lines = python(code)
    assert [line["message"].partition("\n")[0] for line in lines if "odd" not in line["message"]] == [
        "a tick", "started", "ours", "SystemError ends this process",
    ]  # fmt: skip
    assert any(line["logger"] == "py.warnings" for line in lines)
    assert "the end" in lines[-1]["exception"]


class Sour:
    """Something that cannot even be printed."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def formatted(*args: object, message: str = "%s", **extra: object) -> Line:
    record = logging.makeLogRecord({"name": "x", "msg": message, "args": args, **extra})
    line = JsonFormatter().format(record)
    assert line.isascii()
    assert len(line.splitlines()) == 1
    loaded: Line = json.loads(line, parse_constant=pytest.fail)
    return loaded


@pytest.mark.parametrize("value", [Sour(), float("nan"), {("a",): b"\xff"}, "a\nb\u2028c\ud800", 10**400, {1, 2}])
def test_nothing_that_is_logged_breaks_a_line(value: object) -> None:
    """A formatter that raises loses the line, and prints a traceback where a collector expects an object."""
    assert formatted(value, thing=value)["message"]
    assert formatted(value, 1)["message"]
    assert formatted(thing=value)["extra"].keys() == {"thing"}


def test_credentials_are_taken_out_of_message_extras_and_exception() -> None:
    """What an error's own text leaves out, a log line must not bring back."""
    shape = "shpat_" + "0123456789abcdef"
    try:
        raise ValueError(f"sent access_token={shape}")
    except ValueError:
        line = formatted(f"at https://x.example/a?key={shape}", access_token="abc", note=shape, exc_info=sys.exc_info())
    assert shape not in json.dumps(line)
    assert line["extra"] == {"access_token": "[redacted]", "note": "[redacted]"}
    assert "ValueError" in line["exception"]


def test_a_vendors_error_says_whose_call_it_was_outside_a_run() -> None:
    """A change sensor reads many tenants in one tick."""
    line = formatted(Unavailable("busy", vendor="shopify", tenant="kiwi"), message="%s; waiting")
    assert (line["tenant"], line["vendor"], line["run_id"]) == ("kiwi", "shopify", None)


def test_text_stays_as_it_was() -> None:
    """Whoever reads lines by eye, or parses them, sees no change."""
    code = "import logging\nfrom weathervane_assets.definitions import defs; defs()\nlogging.getLogger('weathervane_x').error('plain')"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "WEATHERVANE_LOG_FORMAT": ""}, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert done.stderr.splitlines()[-1] == "plain"
