"""The generated pages about the program itself: docs/commands.md, environment.md, metrics.md, automation.md, architecture.md.

Belongs here: turning the command line, the table of variables, schedules and the source tree into text. What is about data is in
`reference.py`, which writes all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import click
import dagster as dg

from weathervane_assets.architecture import LAYERS, arrows, layers_of, read_imports, reduce_arrows
from weathervane_assets.cli import main as root_command
from weathervane_assets.definitions import build_defs
from weathervane_assets.drawings import draw_graph, draw_layers, edges_table
from weathervane_assets.graph import GRAPH
from weathervane_resources.credentials import SOURCES, tenant_variable
from weathervane_resources.environment import INSTALLATION, Variable, credential_variables
from weathervane_resources.metrics import METRICS


def commands_page() -> str:
    """Return every command with its options, as the command itself says them."""
    head = (
        "# Commands\n\nExit codes: 0 ok, 1 a critical finding or a failed run (`coverage`: `critical` and `error`; with `--fail-on-warning` all that is not ok), 2 usage or configuration. `--json` prints one JSON "
        "document on standard output; progress and complaints go to standard error. See [the command line](command-line.md) "
        "for completion and colours.\n"
    )
    return head + "".join(_command(path, command) for path, command in walk_commands())


def walk_commands(
    command: click.Command = root_command, path: tuple[str, ...] = ("weathervane",)
) -> Iterator[tuple[str, click.Command]]:
    """Yield the full name and the object of every command that does something, in alphabetical order."""
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from walk_commands(command.commands[name], (*path, name))
    else:
        yield " ".join(path), command


def _command(path: str, command: click.Command) -> str:
    says = " ".join((command.help or "").split())
    rows = "".join(_option(option) for option in command.params if isinstance(option, click.Option))
    table = f"\n| option | | meaning |\n|---|---|---|\n{rows}" if rows else ""
    return f"\n## {path}\n\n{says}\n{table}"


def _option(option: click.Option) -> str:
    context = click.Context(root_command)
    shown, says = option.get_help_record(context) or ("", "")
    need = "required" if option.required else ""
    shown = shown.replace("|", "\\|")
    says = says.replace("[required]", "").replace("|", "\\|").strip(" ;")
    return f"| `{shown}` | {need} | {says} |\n"


def environment_page() -> str:
    """Return every variable that is read, with its default."""
    own = tenant_variable("acme", "SHOPIFY_ACCESS_TOKEN")
    parts = [
        (
            "# Environment\n\nEvery variable that Weathervane reads. [Configuration](configuration.md) says how they play together; "
            "relative paths belong to the working directory.\n\n## The installation\n\n"
        ),
        _variables(INSTALLATION),
        (
            f"\n## Sources\n\nA tenant's own value carries its id and wins: `{own}`. *Tenant*: counts without that prefix only where "
            "exactly one tenant is configured.\n"
        ),
    ]
    private = {name for source in SOURCES for name in source.own}
    for vendor, variables in credential_variables().items():
        parts.append(f"\n### {vendor}\n\n" + _variables(variables, private))
    return "".join(parts)


def metrics_page() -> str:
    """Return every metric with its labels, and how to have them sent."""
    head = (
        "# Metrics\n\nOff until `OTEL_EXPORTER_OTLP_ENDPOINT` names an OTLP/HTTP collector, `http://127.0.0.1:4318` say. A run is a "
        "process of its own that lives for seconds, so there is nothing to scrape: each process sends what it counted, every minute "
        "and when it ends. A process that is killed with -9 loses what it has not sent. A collector that is down fails no run; each "
        "process then waits a few seconds at its end.\n\nCounters and the histogram have delta temporality. Prometheus wants cumulative ones: put the collector's "
        "`deltatocumulative` processor before it. `deploy/grafana-dashboard.json` shows them by the names that Prometheus "
        "gives them. No label holds a credential or a URL; the tenants' ids are in them, and a tenant "
        "that `tenants.toml` does not have counts as `other`, so there are never more series than tenants, datasets and the few "
        "words of each label allow.\n\nRuns and incidents are counted by the alerter, so only where its sensor is on; canceled runs are not. A gauge is sent when it is set: "
        "the lag comes once an hour, and a panel looks at `last_over_time(...[2h])`.\n\n"
        "| metric | kind | in Prometheus | unit | labels | what it says |\n|---|---|---|---|---|---|\n"
    )
    return head + "".join(
        f"| `{one.name}` | {one.kind} | `{one.prometheus_name}` | {one.unit} | {', '.join(one.labels)} | {one.meaning} |\n"
        for one in METRICS
    )


def _variables(variables: list[Variable] | tuple[Variable, ...], private: set[str] | None = None) -> str:
    if private is None:
        rows = "".join(f"| `{v.name}` | {v.default} | {v.meaning} |\n" for v in variables)
        return f"| variable | default | meaning |\n|---|---|---|\n{rows}"
    rows = "".join(
        f"| `{v.name}` | {'tenant' if v.name in private else 'shared'} | {v.default} | {v.meaning} |\n"
        for v in variables
    )
    return f"| variable | whose | default | meaning |\n|---|---|---|---|\n{rows}"


def automation_page() -> str:
    """Return every schedule and sensor, what it does and whether it runs by itself."""
    location = build_defs({})
    head = (
        "# Automation\n\nWhat is *off* is switched on in the UI, one by one, or all at once by `WEATHERVANE_AUTOMATION=on`. Tenants' hours "
        "are those of their own clocks. [Operating](operating.md) says what to do with them.\n\n## Schedules\n\n"
    )
    listed = "".join(
        f"| `{one.name}` | {_one_line(one.description)} | {_state(one.default_status)} |\n"
        for one in sorted(location.schedules or [], key=lambda one: one.name)
    )
    watching = "".join(
        f"| `{one.name}` | {one.minimum_interval_seconds} | {_one_line(one.description)} | {_state(one.default_status)} |\n"
        for one in sorted(location.sensors or [], key=lambda one: one.name)
    )
    return (
        f"{head}| schedule | what | at first |\n|---|---|---|\n{listed}\n## Sensors\n\n"
        f"| sensor | every, s | what | at first |\n|---|---|---|---|\n{watching}"
    )


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _state(status: dg.DefaultScheduleStatus | dg.DefaultSensorStatus) -> str:
    return "on" if status.value == "RUNNING" else "off"


def architecture_pages() -> dict[str, str]:
    """Return docs/architecture.md and its two pictures, by their path under docs/."""
    imports = read_imports()
    pairs = arrows(imports, layers_of(imports))
    return {
        "architecture.md": _architecture(edges_table(pairs)),
        "pictures/graph.svg": draw_graph(),
        "pictures/layers.svg": draw_layers(LAYERS, reduce_arrows(pairs)),
    }


def _architecture(edges: Mapping[str, list[str]]) -> str:
    rows = "".join(
        f"| {node.name} | {node.group} | {', '.join(node.reads) or '-'} | {', '.join(node.follows) or '-'} |\n"
        for node in GRAPH
    )
    layers = "".join(
        f"| {layer.level} | `{layer.name}` | {layer.says} | {', '.join(edges.get(layer.name, [])) or 'nothing of ours'} |\n"
        for layer in sorted(LAYERS, key=lambda layer: -layer.level)
    )
    return (
        "# Architecture\n\nBoth pictures and both tables are drawn from the code.\n\n## The graph\n\nEvery dataset is one asset: a "
        "Delta table for each tenant, partitioned by day (`climatology` by year). A dashed arrow means *after*: the asset reads "
        "the lake or the weather cache itself.\n\n![The asset graph](pictures/graph.svg)\n\n"
        f"| asset | group | loads | comes after |\n|---|---|---|---|\n{rows}\n"
        "## The layers\n\nImports go down, never up; a test says so, file by file. An arrow that only repeats a way through "
        "another layer is left out of the picture and stands in the table.\n\n![The layers of the code](pictures/layers.svg)\n\n"
        f"| level | layer | what | imports |\n|---|---|---|---|\n{layers}\n"
        "The top layer is not a folder: it is `definitions.py`, the composition root, and the modules behind the commands, "
        "which need the checks as well as the graph. Where a new line belongs is in CONTRIBUTING.md; why things are as they are, "
        "in the [decisions](decisions/index.md).\n\n"
        "## One run\n\nA run is one tenant and a range of days, in one process. An asset fetches its window through a connector (or "
        "reads its inputs from the lake), transforms frames, and returns a batch; the IO manager replaces the window in one Delta "
        "commit and notes the days in the ledger; then the asset's checks judge what is stored. [Concepts](concepts.md) tells it "
        "from the data's side.\n"
    )
