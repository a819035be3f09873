"""What README, CONTRIBUTING and docs/ say is so."""

import re

import pytest

from sepcore.config.table import config_table
from tests.repository import ROOT
from tests.wheel_contents import relative_targets

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


def test_the_readme_has_no_link_that_only_the_repository_could_follow():
    assert relative_targets(PAGES["README.md"]) == []
    assert relative_targets("[a](docs/a.md) ![b](b.png) <img src='c.png'>\n[d]: docs/d.md\n[e](https://host/e)") == [
        "docs/a.md",
        "b.png",
        "docs/d.md",
        "c.png",
    ]


def test_every_page_that_the_readme_names_is_there():
    named = set(re.findall(r"`((?:docs/)?\w+\.md)`", PAGES["README.md"]))
    assert named == PAGES.keys() - {"README.md"}


def test_the_readme_is_read_in_minutes():
    assert len(PAGES["README.md"].encode()) <= 10_000
