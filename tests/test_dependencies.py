import ast
import re
import tomllib

import pytest

from tests.repository import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
BOUNDS = {
    re.match(r"[\w-]+", requirement)[0]: requirement
    for requirement in [*PROJECT["dependencies"], *(r for e in PROJECT["optional-dependencies"].values() for r in e)]
}
# Their documentation leaves out names that are used here.
UNDOCUMENTED = ["mlflow", "openvino", "filelock", "prefect"]


def private_modules():
    """Packages that a private module is imported from."""
    for folder in ("flows", "tasks", "sepcore"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module:
                    names = [*node.module.split("."), *(alias.name for alias in node.names)]
                    if any(re.match("_[a-z]", name, re.I) for name in names) or "src" in names:
                        yield names[0]


@pytest.mark.parametrize("package", UNDOCUMENTED)
def test_a_package_of_which_undocumented_names_are_used_has_an_upper_bound(package):
    assert "<" in BOUNDS[package]


def test_a_package_of_which_a_private_module_is_imported_has_an_upper_bound():
    assert set(private_modules()) - {"flows", "tasks", "sepcore"} <= {name for name, of in BOUNDS.items() if "<" in of}
