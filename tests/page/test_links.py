import os
from pathlib import Path
from urllib.parse import unquote_to_bytes, urljoin

import pytest

from sepcore.page.links import relative_address, shown_name

NAMES = ["plain", "a b", "100%25", "#1?x=y&z", "C: D", "曲 – é", "<b>\"'", "a\\b", "..x", "new\nline"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("page", ["index.html", "deep/er/index.html", "#odd %2F/index.html"])
def test_a_link_leads_from_page_to_file_whatever_their_names(name, page, tmp_path):
    target = tmp_path / name / f"{name}.html"
    address = relative_address(target, tmp_path / page)
    assert address.isascii()
    reached = urljoin((tmp_path / page).as_uri(), address)
    assert unquote_to_bytes(reached.removeprefix("file://")) == os.fsencode(target)


def test_a_link_survives_a_move_of_the_folder():
    pages = Path("one/page.html"), Path("two/page.html")
    before = relative_address(pages[1], pages[0])
    assert before == relative_address(Path("/moved") / pages[1], Path("/moved") / pages[0]) == "../two/page.html"


def test_a_name_that_is_not_unicode_is_linked_by_its_bytes_and_shown_with_a_replacement():
    name = os.fsdecode(b"caf\xe9")
    assert relative_address(Path(name), Path("index.html")) == "caf%E9"
    assert shown_name(name) == "caf\ufffd"
