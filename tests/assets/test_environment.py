"""docs/environment.md names every variable that the code reads, and no other."""

from __future__ import annotations

import ast
import re

from weathervane_assets.architecture import python_files
from weathervane_resources.environment import CREDENTIALS, INSTALLATION, credential_variables

NAME = re.compile(r"(?:WEATHERVANE|SHOPIFY|META|GOOGLE|KLAVIYO|OPEN_METEO|GEONAMES|DAGSTER|OTEL)_[A-Z_]+[A-Z]")


def test_every_variable_that_is_read_is_in_the_table() -> None:
    """A predecessor's docs and code disagreed on the names; whoever followed the docs configured nothing."""
    read = set()
    for file in python_files():
        if file.name == "environment.py" or "sandbox" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and NAME.fullmatch(node.value):
                read.add(node.value)
    assert read == {variable.name for variable in INSTALLATION} | set(CREDENTIALS)


def test_every_variable_of_a_source_says_what_it_is_for() -> None:
    """A name alone does not tell the developer token from the access token."""
    listed = [variable.name for variables in credential_variables().values() for variable in variables]
    assert sorted(listed) == sorted(CREDENTIALS)
    assert len(listed) == len(set(listed))
    assert all(variable.meaning for variable in INSTALLATION)
