"""The house: imports go down, rooms are small, and the pictures show what is there."""

from __future__ import annotations

import ast
import math
import re
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest

from weathervane_assets.architecture import LAYERS, ROOT, TOP, layers_of, python_files, read_imports
from weathervane_assets.graph import GRAPH

LONGEST_FILE, USUAL_FUNCTION, USUAL_SHARE = 400, 25, 0.9


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    return read_imports()


def test_no_module_imports_from_a_higher_layer(imports: dict[str, set[str]]) -> None:
    """Two layers that import each other are one layer; it begins with one import inside a function."""
    layers = layers_of(imports)
    upward = [
        f"{module} ({layers[module].name}) imports {need} ({layers[need].name})"
        for module, needs in imports.items()
        for need in needs
        if layers[need].level > layers[module].level
    ]
    assert not upward
    assert set(layers.values()) == set(LAYERS), "a layer without modules is a picture of something else"


def test_layers_of_one_height_do_not_know_each_other(imports: dict[str, set[str]]) -> None:
    """The checks judge what the transforms computed; if they shared code they would share its mistakes."""
    layers = layers_of(imports)
    beside = [
        f"{module} imports {need}"
        for module, needs in imports.items()
        for need in needs
        if layers[need] is not layers[module] and layers[need].level == layers[module].level
    ]
    assert not beside


def test_no_asset_needs_the_checks(imports: dict[str, set[str]]) -> None:
    """What puts the packages together is found by its imports, so an asset that reaches for a check would rise unseen."""
    layers = layers_of(imports)
    computing = {node.compute.__module__ for node in GRAPH} | {
        f"weathervane_assets.{name}" for name in ("graph", "partitions", "window", "automation", "schedules", "changes")
    }
    assert not {module for module in computing if layers[module] is TOP}


def test_the_top_is_where_the_packages_meet(imports: dict[str, set[str]]) -> None:
    """If the closure that finds the top broke, the tests above would pass over nothing."""
    top = {module for module, layer in layers_of(imports).items() if layer is TOP}
    assert {"weathervane_assets.definitions", "weathervane_assets.cli"} <= top


def test_rooms_are_small() -> None:
    """Nobody reads a file of 2,000 lines, so nobody finds what is in it. Prints the figures (`pytest -s`)."""
    lines = {file: len(file.read_text().splitlines()) for file in python_files()}
    functions = sorted(size for file in python_files() for size in _function_sizes(ast.parse(file.read_text())))
    share = sum(size <= USUAL_FUNCTION for size in functions) / len(functions)
    median = functions[len(functions) // 2]
    longest = max(lines, key=lambda file: lines[file])
    print(  # noqa: T201 - the figures are what one runs it for
        f"\n{len(lines)} files, the longest {longest.relative_to(ROOT)} with {lines[longest]} lines; {len(functions)} functions, "
        f"median {median}, {math.floor(share * 1000) / 10}% at most {USUAL_FUNCTION} lines, the longest {functions[-1]}"
    )
    assert not {str(file): size for file, size in lines.items() if size > LONGEST_FILE}
    assert share >= USUAL_SHARE


def test_the_rooms_of_tests_and_benchmarks_are_no_larger() -> None:
    """A test file of 500 lines is where a second test of the same thing hides."""
    files = [file for folder in ("tests", "bench") for file in (ROOT / folder).rglob("*.py")]
    sizes = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in files}
    assert len(sizes) > 100
    assert not {file: size for file, size in sizes.items() if size > LONGEST_FILE}


def _function_sizes(tree: ast.Module) -> list[int]:
    """Return the lines of each function without its docstring and decorators."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            documented = ast.get_docstring(node) is not None
            spared = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
            found.append((node.end_lineno or 0) - node.lineno + 1 - spared)
    return found


def test_no_module_brings_an_instant_to_a_local_day_by_polars_time_zones() -> None:
    users = [file.name for file in python_files() if "convert_time_zone(" in file.read_text()]
    assert users == []


def test_what_is_imported_is_asked_for_by_name() -> None:
    """A package that only another one brings in goes the day that one no longer needs it."""
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    declared = {re.match(r"[\w-]+", one).group() for one in asked} | {"dagster-shared"}  # type: ignore[union-attr]
    whose = packages_distributions()
    known = {
        package for package, names in whose.items() if declared & {name.lower().replace("_", "-") for name in names}
    }
    strangers = _imported() - known - set(sys.stdlib_module_names)
    assert not strangers


def _imported() -> set[str]:
    """Return the packages of others that ours import."""
    found = set[str]()
    for path in python_files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    return {name for name in found if not name.startswith("weathervane_")}
