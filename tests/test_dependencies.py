import ast
import importlib.metadata
import itertools
import re
import tomllib

import pytest

from tests.repository import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def name_of(requirement):
    return re.match(r"[\w-]+", requirement)[0]


BOUNDS = {
    name_of(requirement): requirement
    for requirement in [*PROJECT["dependencies"], *(r for e in PROJECT["optional-dependencies"].values() for r in e)]
}
# Their documentation leaves out names that are used here.
# Pins of what Prefect needs; and what is imported by its name as text, without its converter (engines/openvino.py).
NOT_BY_A_STATEMENT = {"fastapi", "sqlalchemy", "openvino"}
UNDOCUMENTED = ["mlflow", "openvino", "filelock", "prefect"]


def imports():
    """Every import of the product."""
    for folder in ("flows", "tasks", "sepcore"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.ImportFrom | ast.Import):
                    yield node


def private_modules():
    """Packages that a private module is imported from."""
    for node in imports():
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [*node.module.split("."), *(alias.name for alias in node.names)]
            if any(re.match("_[a-z]", name, re.I) for name in names) or "src" in names:
                yield names[0]


def imported_modules():
    """The names of the modules that the product imports, each with the packages that it lies in."""
    for node in imports():
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def modules_of(distribution):
    """The modules that an installed distribution brings, as they are imported."""
    files = importlib.metadata.files(distribution) or []
    return {file.as_posix().removesuffix(".py").removesuffix("/__init__").replace("/", ".") for file in files}


def test_every_dependency_at_run_time_is_imported():
    used = set(imported_modules())
    extras = PROJECT["optional-dependencies"]
    optional = [requirement for extra in extras.keys() - {"dev"} for requirement in extras[extra]]
    names = set(map(name_of, [*PROJECT["dependencies"], *optional])) - {"stemworks"}
    unused = {name for name in names if not modules_of(name) & used}
    assert unused == NOT_BY_A_STATEMENT


def test_every_dependency_has_its_purpose_beside_it():
    lines = (ROOT / "pyproject.toml").read_text("utf-8").split("dependencies = [", 1)[1].split("# `prefect", 1)[0]
    pairs = itertools.pairwise(map(str.strip, lines.splitlines()))
    without = [line for above, line in pairs if line.startswith('"') and "#" not in line and above[:1] != "#"]
    assert without == []


@pytest.mark.parametrize("package", UNDOCUMENTED)
def test_a_package_of_which_undocumented_names_are_used_has_an_upper_bound(package):
    assert "<" in BOUNDS[package]


def test_a_package_of_which_a_private_module_is_imported_has_an_upper_bound():
    assert set(private_modules()) - {"flows", "tasks", "sepcore"} <= {name for name, of in BOUNDS.items() if "<" in of}
