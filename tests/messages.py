"""What the code can say to an operator: each operator's error that is raised, returned or named, with its fixed words."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from weathervane_assets.architecture import ROOT, python_files
from weathervane_resources.http import errors

VENDOR_ERRORS = {
    name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.VendorError)
}
OPERATORS_ERRORS = {
    "ConfigurationError", "LakeError", "StateError", "TokenKeyError", "Complaint", "BadPlacesFile", "BadCursor",
    "StubWouldReplaceLive", "LockTimeout", "Failure", "needs_someone", "refused",
}  # fmt: skip
"""What someone who runs the installation reads. ValueError and the like are for whoever wrote the call."""
HOLE = "…"
"""Stands for what is only known when it is said."""


@dataclass(frozen=True)
class Said:
    """One place: the error, the fixed words, and whether it gives a hint of its own."""

    where: str
    error: str
    template: str
    has_hint: bool


def said() -> list[Said]:
    """Return every place that makes an operator's error in the three packages, the sandbox left out."""
    return [one for file in python_files() if "sandbox" not in file.parts for one in _of_file(file)]


def _of_file(file) -> Iterator[Said]:
    tree = ast.parse(file.read_text())
    texts = _constants(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise):
            call = node.exc
        elif isinstance(node, ast.Return | ast.Assign):
            call = node.value
        else:
            continue
        if not isinstance(call, ast.Call):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if name in VENDOR_ERRORS | OPERATORS_ERRORS or name == "fail":
            message = call.args[1 if name == "fail" else 0] if call.args else ast.Constant("")
            hint = any(keyword.arg == "hint" for keyword in call.keywords)
            where = f"{file.relative_to(ROOT)}:{node.lineno}"
            yield Said(where, "ConfigurationError" if name == "fail" else name, template(message, texts), hint)


def template(node: ast.expr, texts: dict[str, str]) -> str:
    """Return the fixed words of a message; a name that stands for a text in the same file is put in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.Name):
        return texts.get(node.id, HOLE)
    if isinstance(node, ast.FormattedValue):
        return template(node.value, texts) if isinstance(node.value, ast.Name | ast.Constant) else HOLE
    if isinstance(node, ast.JoinedStr):
        return "".join(template(part, texts) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return template(node.left, texts) + template(node.right, texts)
    return HOLE


def _constants(tree: ast.Module) -> dict[str, str]:
    """Return the texts that names stand for; a name that stands for more than one stands for none."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            known = isinstance(node.value, ast.Constant | ast.JoinedStr)
            text = template(node.value, {}) if known else HOLE
            found.setdefault(node.targets[0].id, set()).add(text)
    return {name: texts.copy().pop() for name, texts in found.items() if len(texts) == 1}
