"""The contracts of layers and rooms (``make lint``) refuse what they are there for."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository import ROOT

pytestmark = pytest.mark.slow

VIOLATIONS = {
    "Layers": ("tasks/dataset.py", "import flows.train"),
    "Rooms": ("sepcore/signal/masks.py", "import sepcore.training.losses"),
    "The library knows neither": ("sepcore/training/losses.py", "import mlflow"),
}


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
    return [line for line in result.stdout.splitlines() if line.endswith("BROKEN")]


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
