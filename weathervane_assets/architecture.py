"""What the code is built of, read from the code: which module lies in which layer, and what imports what.

Belongs here: facts about the source tree for docs/architecture.md and its test. Does not belong here: drawing them
(`drawings.py`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("weathervane_resources", "weathervane_assets", "weathervane_checks")


@dataclass(frozen=True)
class Layer:
    """One layer: a name, what is in it, and how high it lies. Imports go down, or stay."""

    name: str
    says: str
    level: int


HTTP = Layer("weathervane_resources/http", "session, paging, errors", 0)
CLIENTS = Layer("weathervane_resources/clients", "the vendors' requests and rows", 1)
SANDBOX = Layer("weathervane_resources/sandbox", "the local stand-in for the vendors", 1)
RESOURCES = Layer("weathervane_resources", "connectors, lake, state, tenants, places", 2)
TABLES = Layer("weathervane_assets/tables.py", "the contracts", 3)
TRANSFORMS = Layer("weathervane_assets/transforms", "pure: frame in, frame out", 4)
CHECKS = Layer("weathervane_checks", "rules, thresholds, reports", 4)
GRAPH = Layer("weathervane_assets", "the assets, schedules, sensors", 5)
TOP = Layer("weathervane_assets: definitions, cli", "puts it together", 6)
LAYERS = (HTTP, CLIENTS, SANDBOX, RESOURCES, TABLES, TRANSFORMS, CHECKS, GRAPH, TOP)
_BY_PREFIX = {
    "weathervane_resources.http": HTTP,
    "weathervane_resources.clients": CLIENTS,
    "weathervane_resources.sandbox": SANDBOX,
    "weathervane_resources": RESOURCES,
    "weathervane_assets.tables": TABLES,
    "weathervane_assets.transforms": TRANSFORMS,
    "weathervane_checks": CHECKS,
    "weathervane_assets": GRAPH,
}
"""From the narrowest to the widest prefix of a module's name."""


def read_imports(root: Path = ROOT) -> dict[str, set[str]]:
    """Return for each of our modules those of ours that it imports, also inside functions."""
    trees = {_module(file, root): ast.parse(file.read_text(encoding="utf-8")) for file in python_files(root)}
    return {name: {found for found in _imported(tree, trees) if found != name} for name, tree in trees.items()}


def python_files(root: Path = ROOT) -> list[Path]:
    """Return the files of the three packages."""
    return sorted(file for package in PACKAGES for file in (root / package).rglob("*.py"))


def layers_of(imports: Mapping[str, set[str]]) -> dict[str, Layer]:
    """Return the layer of each module.

    The top is what puts the packages together: the modules of `weathervane_assets` that need `weathervane_checks`,
    by themselves or through another.
    """
    layers = {name: _lowest(name) for name in imports}
    grew = True
    while grew:
        above = {name for name, needs in imports.items() if layers[name] is GRAPH and _needs_top(needs, layers)}
        layers.update(dict.fromkeys(above, TOP))
        grew = bool(above)
    return layers


def arrows(imports: Mapping[str, set[str]], layers: Mapping[str, Layer]) -> set[tuple[Layer, Layer]]:
    """Return which layer imports which other one."""
    return {
        (layers[name], layers[need])
        for name, needs in imports.items()
        for need in needs
        if layers[name] != layers[need]
    }


def reduce_arrows(pairs: set[tuple[Layer, Layer]]) -> set[tuple[Layer, Layer]]:
    """Return the arrows without those that go over a layer in between: what a picture can show without a tangle."""
    return {
        (above, below)
        for above, below in pairs
        if not any((above, middle) in pairs and (middle, below) in pairs for _, middle in pairs)
    }


def _needs_top(needs: set[str], layers: Mapping[str, Layer]) -> bool:
    return any(layers[need] in (CHECKS, TOP) for need in needs)


def _lowest(module: str) -> Layer:
    return next(layer for prefix, layer in _BY_PREFIX.items() if module == prefix or module.startswith(f"{prefix}."))


def _module(file: Path, root: Path) -> str:
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(tree: ast.Module, known: Mapping[str, object]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & known.keys()
            yield from inner or ({node.module} & known.keys())
