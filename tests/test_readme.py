"""What the README says is so."""

import re
from pathlib import Path

from sepcore.config_table import config_table

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
COMMANDS = {path.stem for path in (Path(__file__).parents[1] / "flows").glob("*.py")}


def test_the_table_of_config_keys_is_the_config_classs():
    assert config_table() in README, "paste the output of `python -m sepcore.config_table` into the README"


def test_every_command_that_it_names_exists():
    named = set(re.findall(r"python -m flows\.(\w+)", README))
    assert {"quickstart", "ingest", "cache", "train", "evaluate", "publish", "separate_batch"} <= named <= COMMANDS


def test_every_make_target_that_it_names_exists():
    targets = set(re.findall(r"^([a-z]+):", (Path(__file__).parents[1] / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)`", README)) <= targets
