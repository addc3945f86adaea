"""`weathervane dev` with a browser before it, as a person has it.

Belongs here: starting both, the few gestures that the tests share, and pictures of what is on the screen. What a person
does and expects is in the tests.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.servers import chromium_program, free_port

SHOTS = Path(__file__).parents[2] / "build" / "screenshots"
FIRST = date.today() - timedelta(days=60)  # the browser's clock is this machine's, and days ago are enough
THEMES = ("light", "dark")
FOLLOW_THE_SYSTEM = """localStorage.setItem("dagster-theme", JSON.stringify("System"))"""
"""The UI's own setting; with it the theme is the browser's, which changes without loading the page again."""
PATIENCE_MS = 60_000
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)
"""No sandbox: in a container root may not make one, and its /dev/shm is small. The only page it opens is our own."""


@dataclass
class Ui:
    """The UI in a browser."""

    page: Page
    url: str
    folder: Path

    def open(self, path: str) -> None:
        """Open a page of the UI."""
        self.page.goto(f"{self.url}{path}")

    def shows(self, text: str | re.Pattern[str], *, is_exact: bool = True) -> None:
        """Wait until a text can be seen."""
        found = self.page.get_by_text(text, exact=is_exact).locator("visible=true").first
        expect(found).to_be_visible(timeout=PATIENCE_MS)

    def shows_at_last(self, path: str, text: str) -> None:
        """Open a page again and again until a text can be seen: other processes work, and not each page looks by itself."""
        ends = time.monotonic() + PATIENCE_MS / 1000
        while True:
            self.open(path)
            try:
                expect(self.page.get_by_text(text, exact=True).first).to_be_visible(timeout=4000)
            except AssertionError:
                assert time.monotonic() < ends, (
                    f"{text!r} did not come: {self.page.locator('body').inner_text()[-2000:]}"
                )
            else:
                return

    def materialise(self, asset: str, days: str | None, tenant: str | None) -> None:
        """Click what a person clicks to make `days` of an asset again (None where it has none), of a tenant or of all."""
        page = self.page
        self.open(f"/assets/{asset}")
        page.get_by_role("button", name="Materialize").first.click()
        if days:
            page.get_by_placeholder("ex: ").fill(days)
            page.keyboard.press("Tab")
        else:
            page.get_by_role("button", name="Confirm").click()  # a report, of datasets that are not all there
        if tenant:
            page.get_by_text("Select a partition or create one").click()
            page.get_by_role("menuitem").filter(has_text=tenant).last.click()
            page.keyboard.press("Escape")
        else:
            page.get_by_role("button", name="All", exact=True).last.click()

    def launch(self) -> None:
        """Click the button of the dialog that starts the runs, and wait until it closes."""
        button = self.page.get_by_role("dialog").get_by_role("button", name=re.compile("^Launch"))
        button.click()
        expect(button).to_be_hidden()

    def shoot(self, name: str) -> None:
        """Take a picture of the screen in both themes: build/screenshots/<name>-<theme>.png."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        for theme in THEMES:
            self.page.emulate_media(color_scheme=theme)  # type: ignore[arg-type] # one of its literals
            self.page.wait_for_timeout(250)  # the change fades in
            self.page.screenshot(path=SHOTS / f"{name}-{theme}.png")


@pytest.fixture(scope="module")
def browser_page() -> Iterator[Page]:
    """A page in Debian's Chromium; playwright's own is a download. Its event loop runs on until it is closed: no other test may have one."""
    program = chromium_program()
    if not program:
        pytest.skip("no Chromium (apt-get install chromium, or CHROMIUM=/path/to/it)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(QUIET))
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.add_init_script(FOLLOW_THE_SYSTEM)
        page.set_default_timeout(PATIENCE_MS)
        yield page
        browser.close()


@contextmanager
def running_ui(page: Page, folder: Path, tenants: str, env: Mapping[str, str]) -> Iterator[Ui]:
    """Serve the UI of an installation in `folder`; what it prints is in dev.log."""
    (folder / "tenants.toml").write_text(tenants)
    port = free_port()
    command = [sys.executable, "-m", "weathervane_assets.cli", "dev", "--port", str(port)]
    with (folder / "dev.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        _await_answer(f"http://127.0.0.1:{port}/server_info", process, folder / "dev.log")
        yield Ui(page, f"http://127.0.0.1:{port}", folder)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def clean_environment(folder: Path) -> dict[str, str]:
    """Return an environment without credentials and without a night of its own beside what a test starts."""
    ours = re.compile(r"WEATHERVANE_|SHOPIFY_|META_|GOOGLE_|KLAVIYO_|OPEN_|GEONAMES_")
    env = {name: value for name, value in os.environ.items() if not ours.match(name)}
    return env | {
        "DAGSTER_HOME": str(folder / "dagster"),
        "WEATHERVANE_AUTOMATION": "off",
        "WEATHERVANE_START_DATE": FIRST.isoformat(),
    }


def _await_answer(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + 120
    while True:
        try:
            urlopen(url, timeout=5).close()
        except OSError:
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < ends, log.read_text()[-3000:]
            time.sleep(0.3)
        else:
            return
