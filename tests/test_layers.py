"""The contracts of layers, rooms and extras (``make lint``) refuse what they are there for."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.imports import imported_on_load
from tests.repository import ROOT

pytestmark = pytest.mark.slow

VIOLATIONS = {
    "Layers": ("tasks/dataset.py", "import flows.train"),
    "Rooms": ("sepcore/signal/masks.py", "import sepcore.dataset.manifest"),
    "The library knows neither": ("sepcore/training/losses.py", "import mlflow"),
    "The base": ("sepcore/batch/plan.py", "import sepcore.engines.keras"),
    "Data and training": ("sepcore/training/losses.py", "import pandas"),
    "Scores and releases": ("sepcore/release/card.py", "import tensorflow"),
    "Export": ("sepcore/export/parity.py", "import matplotlib"),
}
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
IGNORED = sorted({line for contract in CONTRACTS for line in contract.get("ignore_imports", [])})


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A copy of the product, whose files a test may change."""
    copy = tmp_path_factory.mktemp("house")
    for layer in ("flows", "tasks", "sepcore"):
        shutil.copytree(ROOT / layer, copy / layer, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def broken_contracts(house):
    """The contracts that do not hold there."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    result = subprocess.run(command, cwd=house, capture_output=True, text=True, check=False)
    return [line for line in result.stdout.splitlines() if " BROKEN" in line]


def test_the_house_keeps_its_contracts(house):
    assert broken_contracts(house) == []


@pytest.mark.parametrize("contract", VIOLATIONS)
def test_a_contract_refuses_an_import_against_it(house, contract):
    file, line = VIOLATIONS[contract]
    kept = (house / file).read_text("utf-8")
    (house / file).write_text(f"{kept}\n{line}\n", "utf-8")
    try:
        (broken,) = broken_contracts(house)
    finally:
        (house / file).write_text(kept, "utf-8")
    assert broken.startswith(contract)


def test_every_contract_is_shown_to_refuse_something():
    assert len(CONTRACTS) == len(VIOLATIONS)
    assert [[one for one in VIOLATIONS if contract["name"].startswith(one)] for contract in CONTRACTS] == [
        [one] for one in VIOLATIONS
    ]


@pytest.mark.parametrize("ignored", IGNORED)
def test_an_import_that_a_contract_ignores_does_not_run_when_its_module_is_loaded(ignored):
    importer, _, imported = ignored.partition(" -> ")
    assert not [name for name in imported_on_load(importer) if f"{name}.".startswith(f"{imported}.")]
