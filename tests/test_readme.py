"""What README, CONTRIBUTING and docs/ say is so."""

import re

import pytest

from sepcore.config.table import config_table
from tests.repository import ROOT

PAGES = {str(page.relative_to(ROOT)): page.read_text("utf-8") for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]}
MANUAL = "\n".join(text for name, text in PAGES.items() if name != "CHANGELOG.md")
COMMANDS = {path.parent.name for path in (ROOT / "flows").glob("*/__main__.py")}


def test_the_table_of_config_keys_is_the_config_classs():
    assert config_table() in PAGES["docs/config.md"], "paste the output of `python -m sepcore.config.table` there"


def test_every_command_that_is_named_exists():
    named = set(re.findall(r"python -m flows\.(\w+)", MANUAL)) - {"count_songs"}  # a recipe's, see test_contributing.py
    assert {"quickstart", "ingest", "cache", "train", "evaluate", "publish", "separate_batch"} <= named <= COMMANDS


def test_every_make_target_that_is_named_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)`", MANUAL)) <= targets


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_page_and_a_heading_that_are_there(page):
    for target, heading in re.findall(r"\]\((?!https?:|mailto:)([^)#]*)#?([^)]*)\)", PAGES[page]):
        there = (ROOT / page).parent / target if target else ROOT / page
        assert there.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.+)$", there.read_text("utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", found.lower()).replace(" ", "-") for found in headings}, heading


def test_the_readme_is_read_in_minutes():
    assert len(PAGES["README.md"].encode()) <= 10_000
