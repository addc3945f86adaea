"""Ours beside what a user would pick instead: `python -m bench.peers [--days N] [--latency S] [--rounds N] [--write]`.

All of one round run back to back against one sandbox, limits off, each a process of its own on an empty folder; what is
compared are ratios of medians. Needs .venv-peers (`make bench-peers`). `--write` puts the tables and the plot into docs/.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from weathervane_resources.sandbox import RunningSandbox, SandboxConfig, TenantProfile

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
PEERS = ROOT / ".venv-peers" / "bin" / "python"
DOCS, PLOT = ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "benchmarks_peers.svg"
TENANT, ORDERS_A_DAY, PLACES, WEATHER_DAYS = "acme", 200, 50, 365


@dataclass(frozen=True)
class Contestant:
    """A command; `{url}`, `{folder}`, `{first}`, `{last}`, `{from}` and `{to}` are filled in."""

    name: str
    command: Sequence[str]
    protocol: str = "graphql"


@dataclass
class Figures:
    """What the runs of one contestant took."""

    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    mib: list[float] = field(default_factory=list)
    requests: list[float] = field(default_factory=list)
    inside_s: list[float] = field(default_factory=list)
    """Seconds of the work without imports, where the program prints them."""
    inside_cpu_s: list[float] = field(default_factory=list)
    """The same in CPU seconds."""

    def median(self, name: str) -> float:
        """Return the median of one figure."""
        return statistics.median(getattr(self, name))


def _peer(name: str, script: str, *more: str) -> Contestant:
    shop = "{url}/admin/api/2026-10"
    return Contestant(name, [str(PEERS), str(HERE / script), shop, "{folder}", "{from}", "{to}", *more])


def _module(name: str, *arguments: str, protocol: str = "graphql") -> Contestant:
    return Contestant(name, [sys.executable, "-m", *arguments], protocol)


BACKFILL = ("weathervane_assets.cli", "backfill", "--tenant", TENANT, "--from", "{first}", "--to", "{last}", "--asset", "orders")  # fmt: skip
BARE = ("bench.peers.bare", "{url}/admin/api/2026-10", "{folder}", "{from}", "{to}")
ORDERS = (
    _module("ours, GraphQL in bulk", *BACKFILL),
    _module("ours, REST", *BACKFILL, protocol="rest"),
    _peer("dlt rest_api, defaults", "dlt_orders.py"),
    _peer("dlt rest_api, columns by hand", "dlt_orders.py", "columns"),
    _peer("requests + pandas", "plain_orders.py"),
    _module("our work alone, REST", "bench.peers.own_work", "{first}", "{last}", "rest"),
    _module("our work alone, REST, 1 window", "bench.peers.own_work", "{first}", "{last}", "rest", "1"),
    _module("our work alone, GraphQL", "bench.peers.own_work", "{first}", "{last}", "graphql"),
    _module("bare loop, 8 windows", *BARE),
    _module("bare loop, 1 window", *BARE, "1"),
    _module("bare loop, GraphQL in bulk", *BARE, "bulk"),
)


def _points() -> list[str]:
    return [f"{30 + n % 10 * 1.5:.1f},{-120 + n // 10 * 9:.1f}" for n in range(PLACES)]


WEATHER = (
    _module("ours", "bench.peers.own_weather", "{first}", "{last}", *_points()),
    Contestant(
        "one request for each place",
        [str(PEERS), str(HERE / "plain_weather.py"), "{url}/v1/archive", "{folder}", "{first}", "{last}", *_points()],
    ),
)


def run(contestant: Contestant, sandbox: RunningSandbox, days: tuple[date, date], figures: Figures) -> None:
    """Run one contestant once on an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        words = _words(sandbox, folder, days)
        command = [word.format(**words) for word in contestant.command]
        sandbox.log.clear()
        begun = time.perf_counter()
        with Path(folder, "out").open("w+") as out:
            process = subprocess.Popen(
                command, cwd=ROOT, env=_environment(Path(folder), contestant, sandbox), stdout=out, stderr=out
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            figures.wall_s.append(time.perf_counter() - begun)
            out.seek(0)
            said = out.read()
        # a critical finding of a check exits 1 and is no failure of the run
        if process.returncode and "rows" not in said:
            raise SystemExit(f"{contestant.name} failed:\n{said[-3000:]}")
    figures.cpu_s.append(usage.ru_utime + usage.ru_stime)
    figures.mib.append(usage.ru_maxrss / 1024)
    figures.requests.append(len(sandbox.log))
    inside = re.search(r"rows in ([0-9.]+) s, ([0-9.]+) CPU", said)
    if inside:
        figures.inside_s.append(float(inside[1]))
        figures.inside_cpu_s.append(float(inside[2]))


def _words(sandbox: RunningSandbox, folder: str, days: tuple[date, date]) -> dict[str, str]:
    first, last = days
    return {
        "url": f"{sandbox.url}/t/{TENANT}",
        "folder": folder,
        "first": first.isoformat(),
        "last": last.isoformat(),
        "from": f"{first}T00:00:00+00:00",
        "to": f"{last}T23:59:59+00:00",
    }


def _environment(folder: Path, contestant: Contestant, sandbox: RunningSandbox) -> dict[str, str]:
    (folder / "tenants.toml").write_text(
        f'[tenants.{TENANT}]\nname = "Acme"\ntimezone = "UTC"\ncurrency = "USD"\nshopify_protocol = "{contestant.protocol}"\n'
    )
    return {
        **os.environ,
        "WEATHERVANE_TENANTS": str(folder / "tenants.toml"),
        "WEATHERVANE_LAKE": str(folder / "lake"),
        "WEATHERVANE_STATE_URL": f"sqlite:///{folder}/state.db",
        "WEATHERVANE_SANDBOX_URL": sandbox.url,
        "DAGSTER_HOME": str(folder / "dagster"),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "ERROR",
    }


def span_of(days: int) -> tuple[date, date]:
    """Return the days that are asked for: the newest that the archive of the weather has, and those before."""
    last = datetime.now(UTC).date() - timedelta(days=10)
    return last - timedelta(days=days - 1), last


def orders_of(sandbox: RunningSandbox, days: int) -> int:
    """Return how many orders the sandbox has in the days."""
    words = _words(sandbox, "", span_of(days))
    query = f"status=any&created_at_min={words['from'][:19]}Z&created_at_max={words['to'][:19]}Z"
    url = f"{words['url']}/admin/api/2026-10/orders/count.json?{query}"
    request = urllib.request.Request(url, headers={"X-Shopify-Access-Token": "stub"})
    with urllib.request.urlopen(request) as answer:
        return int(json.load(answer)["count"])


def compare(contestants: Sequence[Contestant], sandbox: RunningSandbox, days: int, rounds: int) -> dict[str, Figures]:
    """Run all, round after round, after one round of the first that only warms the sandbox."""
    span = span_of(days)
    run(contestants[0], sandbox, span, Figures())
    figures = {contestant.name: Figures() for contestant in contestants}
    for _ in range(rounds):
        for contestant in contestants:
            run(contestant, sandbox, span, figures[contestant.name])
    return figures


def table(figures: Mapping[str, Figures], rows: int) -> str:
    """Return a Markdown table of medians; ratios are against the first line."""
    first = next(iter(figures.values()))
    lines = [
        "| | rows/s | wall | CPU | peak | requests | wall against ours | CPU against ours | the work alone: wall | CPU |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, one in figures.items():
        wall, cpu = one.median("wall_s"), one.median("cpu_s")
        inside = f"{one.median('inside_s'):.2f} s | {one.median('inside_cpu_s'):.2f} s" if one.inside_s else " | "
        lines.append(
            f"| {name} | {rows / wall:,.0f} | {wall:.1f} s | {cpu:.1f} s | {one.median('mib'):.0f} MiB | {one.median('requests'):.0f} "
            f"| {wall / first.median('wall_s'):.2f} | {cpu / first.median('cpu_s'):.2f} | {inside} |"
        )
    return "\n".join(lines)


def machine() -> str:
    """Return what the figures were measured on."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"model name\s*: (.*)", text)
    load = os.getloadavg()[0]
    return (
        f"{model[1].strip() if model else platform.machine()}, {os.cpu_count()} cores, load {load:.1f} while measuring, "
        f"Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}"
    )


def plot(figures: Mapping[str, Figures], file: Path) -> None:
    """Draw CPU seconds and peak memory of each contestant."""
    from matplotlib.figure import Figure

    names = list(figures)[::-1]
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for place, (what, title) in enumerate((("cpu_s", "CPU seconds"), ("mib", "peak MiB")), start=1):
        axes = figure.add_subplot(1, 2, place)
        colours = ["#2f7fd6" if name.startswith("our") else "#9aa5b1" for name in names]
        bars = axes.barh(names, [figures[name].median(what) for name in names], color=colours)
        axes.bar_label(bars, fmt="%.1f" if what == "cpu_s" else "%.0f", fontsize=7, padding=2)
        axes.set_title(title, fontsize=9, loc="left")
        axes.tick_params(labelsize=8, labelleft=place == 1)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, format="svg", metadata={"Date": None})


def write(section: str, text: str) -> None:
    """Put a section's text between its marks in docs/benchmarks.md."""
    begin, end = f"<!-- {section}: written by bench.peers -->", f"<!-- {section}: end -->"
    page = DOCS.read_text()
    if begin not in page:
        raise SystemExit(f"{DOCS} has no mark {begin}")
    head, _, rest = page.partition(begin)
    DOCS.write_text(f"{head}{begin}\n{text}\n{end}{rest.partition(end)[2]}")


def main() -> None:
    """Run orders and weather, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each of the sandbox's answers")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=("orders", "weather"))
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    asked = parser.parse_args()
    if not PEERS.exists():
        raise SystemExit(f"{PEERS} is missing: make bench-peers")
    profile = TenantProfile(timezone="UTC", orders_per_day=ORDERS_A_DAY)
    config = SandboxConfig(tenants={TENANT: profile}, latency_s=asked.latency)
    suffix = "-latency" if asked.latency else ""
    about = f"{machine()}; medians of {asked.rounds}; {asked.latency:g} s before each answer."
    with RunningSandbox(config) as sandbox:
        if asked.only != "weather":
            orders = compare(ORDERS, sandbox, asked.days, asked.rounds)
            text = f"{asked.days} days x about {ORDERS_A_DAY} orders. {about}\n\n{table(orders, orders_of(sandbox, asked.days))}"
            print(text, flush=True)
            if asked.write:
                write(f"orders{suffix}", text)
            if asked.write and not asked.latency:
                plot(orders, PLOT)
        if asked.only != "orders":
            weather = compare(WEATHER, sandbox, WEATHER_DAYS, asked.rounds)
            text = f"{PLACES} places x {WEATHER_DAYS} days. {about}\n\n{table(weather, PLACES * WEATHER_DAYS)}"
            print(text, flush=True)
            if asked.write:
                write(f"weather{suffix}", text)


if __name__ == "__main__":
    main()
