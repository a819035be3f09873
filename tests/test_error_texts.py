"""How the product words its errors: path, problem and hint each in its place, so that one place makes the line."""

import ast

import pytest

from sepcore import errors
from tests.repository import ROOT

PRODUCT = [path for room in ("flows", "tasks", "sepcore") for path in sorted((ROOT / room).rglob("*.py"))]
KINDS = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)} | {
    "ForeignTextError",
    "NotPublished",
    "FfmpegFailed",
}
FIELDS = {"hint", "path", "errno"}
# Expressions that name a file, a folder or an address.
PLACES = ("path", "folder", "csv", "file", "out", "dir", "url", "root", "report", "archive", "home", "prefix", "uri")


def made_errors():
    """Every call that makes one of our errors: where it stands, and the call."""
    for path in PRODUCT:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS:
                yield pytest.param(node, id=f"{path.relative_to(ROOT)}:{node.lineno}")


def pieces(node: ast.expr) -> list[ast.expr]:
    """The parts of a text that may be an f-string."""
    return node.values if isinstance(node, ast.JoinedStr) else [node]


def constant(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def faults(call: ast.Call) -> list[str]:
    found = []
    if len(call.args) != 1 or {keyword.arg for keyword in call.keywords} - FIELDS:
        return ["takes one problem, and hint=, path=, errno="]
    problem = pieces(call.args[0])
    if constant(problem[-1]).rstrip().endswith((".", ";")):
        found.append("the problem ends with a full stop")
    if any("; " in constant(piece) for piece in problem):
        found.append("the problem has a semicolon: is what follows a hint?")
    if isinstance(problem[0], ast.FormattedValue) and len(problem) > 1 and constant(problem[1]).startswith(": "):
        named = ast.unparse(problem[0].value)
        if any(place in named.lower() for place in PLACES):
            found.append(f"{named} is a path: give it as path=")
    for keyword in call.keywords:
        if keyword.arg == "hint":
            hint = pieces(keyword.value)
            first, last = constant(hint[0]), constant(hint[-1])
            if first and not (first[0].isupper() or first[0] in "`-"):
                found.append("the hint is no sentence")
            if last and not last.endswith((".", "?")):
                found.append("the hint ends without a full stop")
    return found


@pytest.mark.parametrize("call", list(made_errors()))
def test_an_error_has_its_path_problem_and_hint_each_in_its_place(call):
    assert faults(call) == []
