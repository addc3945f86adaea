"""One tenant x 365 days, all assets and checks, against a graph of the same shape that does nothing. Aim: at most 1.5 times.

`python -m bench.empty_graph [--days N] [--rounds N] [--postgres]`. Both run in this process on one instance, step after step in turns, with
the sandbox in another, since what a vendor computes is not ours; the empty graph has the same assets, partitions, dependencies
and checks, and yields as many evaluations as ours did. Rounds after the first find all weather known. On PostgreSQL
(Debian's, started here) each round is run with Dagster's events one by one and in batches.
"""

import argparse
import contextlib
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import dagster as dg

from tests.engines import instance_on
from tests.servers import running_postgres
from weathervane_assets import graph, partitions
from weathervane_assets.backfill import Step, plan_steps
from weathervane_assets.definitions import build_defs
from weathervane_assets.event_log import BATCH_SIZE, BATCH_SIZE_VARIABLE
from weathervane_assets.instance import open_instance, sync_tenants
from weathervane_checks.catalog import CHECKS
from weathervane_resources.settings import read_settings

TENANT, MOST_RATIO = "acme", 1.5
LAST = date(2026, 9, 30)
Said = Counter[tuple[str, str]]


class Nowhere(dg.IOManager):
    """An IO manager that keeps nothing."""

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Nothing."""

    def load_input(self, context: dg.InputContext) -> None:
        """Nothing."""


def empty_defs(start: date, said: Said) -> dg.Definitions:
    """Return our graph's shape with bodies that do nothing; keys are prefixed, `said` are evaluations by check."""
    assets = [_empty_asset(node, start) for node in graph.GRAPH]
    checks = [_empty_checks(node.name, said) for node in graph.GRAPH]
    return dg.Definitions(
        assets=assets, asset_checks=checks, resources={"io_manager": Nowhere()}, executor=dg.in_process_executor
    )


def _empty_asset(node: graph.Node, start: date) -> dg.AssetsDefinition:
    is_yearly = node.name in graph.YEARLY
    above = [*node.reads, *node.follows]
    return dg.asset(
        key=["empty", node.name],
        partitions_def=partitions.tenant_year(start) if is_yearly else partitions.tenant_day(start),
        backfill_policy=partitions.BACKFILL_POLICY,
        deps=[
            dg.AssetDep(dg.AssetKey(["empty", name]), partition_mapping=graph.partition_mapping(name, node.name))
            for name in above
        ],
    )(lambda: None)


def _empty_checks(asset: str, said: Said) -> dg.AssetChecksDefinition:
    key = dg.AssetKey(["empty", asset])
    specs = [dg.AssetCheckSpec(check.name, asset=key) for check in CHECKS if check.asset == asset]

    @dg.multi_asset_check(specs=specs, name=f"empty_{asset}_checks", can_subset=True)
    def run_checks(
        context: dg.AssetCheckExecutionContext,
    ) -> Iterator[dg.AssetCheckEvaluation | dg.AssetCheckResult]:
        keys = sorted(context.op_execution_context.partition_keys)
        for spec in specs:
            for partition in keys[: said[asset, spec.name]]:
                yield dg.AssetCheckEvaluation(
                    asset_key=key, check_name=spec.name, passed=True, partition=partition, metadata={}
                )
            yield dg.AssetCheckResult(asset_key=key, check_name=spec.name, passed=True)

    return run_checks


@dataclass
class Spent:
    """What steps took: wall and CPU seconds, seconds by op."""

    wall: float = 0.0
    cpu: float = 0.0
    by_op: Counter[str] = field(default_factory=Counter)

    def run(self, instance: dg.DagsterInstance, defs: dg.Definitions, step: Step, prefix: Sequence[str]) -> Said:
        """Run a step and add what it takes; return evaluations of partitions by check."""
        job, said = defs.resolve_implicit_global_asset_job_def(), Said()
        wall, cpu = time.perf_counter(), time.process_time()
        result = job.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey([*prefix, name]) for name in step.assets],
            tags=partitions.range_tags(TENANT, step.first_key, step.last_key),
        )
        self.wall += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu
        for event in result.all_events:
            if event.is_step_success:
                self.by_op[str(event.step_key)] += event.step_success_data.duration_ms / 1000
            elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                evaluation = event.asset_check_evaluation_data
                if evaluation.partition:
                    said[evaluation.asset_key.path[-1], evaluation.check_name] += 1
        return said


def main(days: int, rounds: int, *, is_postgres: bool) -> int:
    """Print each round, the median ratio and each step's share; return 1 above the aim."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore", dg.BetaWarning)
    sizes = ("0", BATCH_SIZE) if is_postgres else (BATCH_SIZE,)
    ratios: dict[str, list[tuple[float, float]]] = {size: [] for size in sizes}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as until_the_end:
        _configure(Path(folder))
        os.environ["WEATHERVANE_SANDBOX_URL"] = until_the_end.enter_context(_sandbox())
        settings = read_settings(os.environ)
        steps = plan_steps(TENANT, LAST - timedelta(days=days - 1), LAST, list(graph.NODES))
        opened = (
            instance_on(until_the_end.enter_context(running_postgres())) if is_postgres else open_instance(settings)
        )
        instance = until_the_end.enter_context(opened)
        sync_tenants(instance, [TENANT])
        for _ in range(rounds):
            for size in sizes:
                os.environ[BATCH_SIZE_VARIABLE] = size
                print(f"{days} days, {'PostgreSQL' if is_postgres else 'SQLite'}, {BATCH_SIZE_VARIABLE}={size}")
                ratios[size].append(_round(instance, settings.start_date, steps))
    for size, found in ratios.items():
        wall, cpu = (statistics.median(one) for one in zip(*found, strict=True))
        print(
            f"{BATCH_SIZE_VARIABLE}={size}: median of {rounds}: {wall:.2f} times the empty graph (aim {MOST_RATIO}); by CPU {cpu:.2f}"
        )
    return int(min(statistics.median(wall for wall, _ in found) for found in ratios.values()) > MOST_RATIO)


def _round(instance: dg.DagsterInstance, start: date, steps: Sequence[Step]) -> tuple[float, float]:
    """Run each step of ours and then the empty one: the speed of a shared machine changes within a minute."""
    ours, empty, defs = Spent(), Spent(), build_defs(os.environ)
    for step in steps:
        said = ours.run(instance, defs, step, [])
        empty.run(instance, empty_defs(start, said), step, ["empty"])
    ratio = f"{ours.wall / empty.wall:.2f}"
    print(
        f"ours {ours.wall:.1f} s ({ours.cpu:.1f} CPU), empty {empty.wall:.1f} s ({empty.cpu:.1f} CPU): {ratio}",
        flush=True,
    )
    _print_shares(ours.by_op, empty.by_op)
    return ours.wall / empty.wall, ours.cpu / empty.cpu


def _print_shares(ours: Mapping[str, float], empty: Mapping[str, float]) -> None:
    whole = sum(ours.values())
    beside = {name.removeprefix("empty_").removeprefix("_"): seconds for name, seconds in empty.items()}
    for name, seconds in sorted(ours.items(), key=_by_seconds):
        print(f"  {name:26} {seconds:6.1f} s {seconds / whole:5.0%}   empty {beside.get(name, 0):6.1f} s")


def _by_seconds(item: tuple[str, float]) -> float:
    return -item[1]


def _configure(folder: Path) -> None:
    (folder / "tenants.toml").write_text(
        f'[tenants.{TENANT}]\nname = "Acme"\ntimezone = "America/New_York"\ncurrency = "USD"\n'
    )
    os.environ |= {
        "WEATHERVANE_TENANTS": str(folder / "tenants.toml"),
        "WEATHERVANE_LAKE": str(folder / "lake"),
        "WEATHERVANE_STATE_URL": f"sqlite:///{folder}/state.db",
        "DAGSTER_HOME": str(folder / "dagster"),
    }


@contextlib.contextmanager
def _sandbox() -> Iterator[str]:
    """Run the sandbox in a process of its own until the end; yield its address."""
    command = [sys.executable, "-u", "-m", "weathervane_assets.cli", "sandbox", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().split()[2]
        finally:
            process.terminate()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--postgres", action="store_true")
    given = parser.parse_args()
    sys.exit(main(given.days, given.rounds, is_postgres=given.postgres))
