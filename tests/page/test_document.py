import base64
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes, urljoin

import pytest

from sepcore.page.document import SORTING_SCRIPT, Cell, Column, Table, build_document, relative_address, shown_name
from sepcore.page.player import PLAYER_SCRIPTS, PlayerSong
from tests.page.songs import document, players, tone_song

ROOM = Path(__file__).parent
# Elements that HTML closes by itself.
VOID = {"meta", "link", "img", "input", "br"}


class Outline(HTMLParser):
    """Fails where an element is not closed as it was opened; collects what refers to a file."""

    def __init__(self, html):
        super().__init__()
        self.open, self.references = [], []
        self.feed(html)
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.references += [value for name, value in attributes if name in ("src", "href", "srcset", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("scripts", [(), (*PLAYER_SCRIPTS, SORTING_SCRIPT)])
def test_a_document_refers_to_nothing_outside_itself(scripts):
    html = document("body.html", body="<p>hello</p>", scripts=scripts)
    assert Outline(html).references == ["data:,"]
    assert not re.search(r"https?:|@import|url\(", html)
    assert '<html lang="en">' in html
    assert 'name="viewport"' in html
    assert "prefers-color-scheme: dark" in html


def test_the_same_content_gives_the_same_document():
    first, second = (document("body.html", body="b", scripts=PLAYER_SCRIPTS) for _ in range(2))
    assert first == second


def test_names_are_text_in_elements_and_in_attributes(tmp_path):
    name = "</title><b a=\"c\" d='e'>&"
    html = document("body.html", title=name, body="", facts={"song": name})
    escaped = "&lt;/title&gt;&lt;b a=&#34;c&#34; d=&#39;e&#39;&gt;&amp;"
    assert f"<title>{escaped}</title>" in html
    assert f'<meta name="song" content="{escaped}">' in html
    assert "<b " not in players(tone_song(tmp_path, name=name, seconds=0.1))


@pytest.mark.parametrize("num_bytes", [0, 1, 3 << 18, (3 << 18) + 1, 2_000_000])
def test_a_file_of_any_length_stands_in_the_page_as_one_base64_and_comes_block_by_block(num_bytes, tmp_path):
    (tmp_path / "mixture.wav").write_bytes(content := bytes(number % 251 for number in range(num_bytes)))
    song = PlayerSong("A song", 1.0, tmp_path / "mixture.wav", [])
    values = {"title": "t", "songs": [song], "heading": "h1", "keys": "page"}
    pieces = list(build_document(ROOM, "players.html", **values))
    assert f">{base64.b64encode(content).decode()}</script>" in "".join(pieces)
    assert max(map(len, pieces)) <= 1 << 20


def test_markup_that_came_in_unescaped_runs_nothing(open_page, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(
        document("body.html", title="t", body="<p>before</p><script>document.title = 'ran'</script>"), "utf-8"
    )
    page = open_page(path)
    assert page.title() == "t"
    assert "Content Security Policy" in open_page.complaints.pop()


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


COLUMNS = (Column("track", is_number=False), Column("SDR"))
ROWS = (
    (Cell("Low", "Low"), Cell("-1.50", -1.5)),
    (Cell("10 years", "10 years"), Cell("3.00", 3.0)),
    (Cell("9 lives", "9 lives", address="#player-1"), Cell("20.00", 20.0)),
    (Cell("Silence", "Silence"), Cell("–")),
)


def html_of(*args, **options):
    return document("table_alone.html", table=Table(*args, **options)).split("<body>")[1]


def test_cells_are_text_and_say_what_they_are_sorted_by():
    table = html_of([Column("<b>")], [[Cell("<i>", "'\"<")], [Cell("–")]], caption="<u>", sorted_by=0)
    assert "<b>" not in table
    assert "<i>" not in table
    assert "<u>" not in table
    assert 'data-value="&#39;&#34;&lt;">&lt;i&gt;</th>' in table
    assert 'data-value="">–</th>' in table


def test_a_table_that_cannot_be_sorted_has_no_buttons():
    table = html_of(COLUMNS, ROWS, caption="Scores", emphasized=[1])
    assert "<button" not in table
    assert "aria-sort" not in table
    assert table.count('class="emphasised"') == 1


@pytest.fixture
def page(open_page, tmp_path):
    table = Table(COLUMNS, ROWS, caption="Scores", sorted_by=1)
    path = tmp_path / "page.html"
    path.write_text(document("table_alone.html", table=table, scripts=[SORTING_SCRIPT]), "utf-8")
    return open_page(path)


def shown(page):
    return page.locator("tbody th").all_inner_texts()


def sorting(page):
    return [heading.get_attribute("aria-sort") for heading in page.locator("thead th").all()]


def test_a_click_on_the_sorted_heading_turns_the_rows_round_and_what_has_no_value_stays_last(page):
    assert shown(page) == ["Low", "10 years", "9 lives", "Silence"]
    assert sorting(page) == [None, "ascending"]
    page.get_by_role("button", name="SDR", exact=True).click()
    assert shown(page) == ["9 lives", "10 years", "Low", "Silence"]
    assert sorting(page) == [None, "descending"]
    page.get_by_role("button", name="SDR", exact=True).press("Enter")
    assert shown(page) == ["Low", "10 years", "9 lives", "Silence"]


def test_words_are_sorted_by_alphabet_and_the_numbers_in_them_by_size(page):
    page.get_by_role("button", name="track", exact=True).click()
    assert shown(page) == ["9 lives", "10 years", "Low", "Silence"]
    assert sorting(page) == ["ascending", None]
    page.get_by_role("button", name="track", exact=True).click()
    assert shown(page) == ["Silence", "Low", "10 years", "9 lives"]


def test_a_row_leads_to_its_player(page):
    page.get_by_role("link", name="9 lives").click()
    assert page.url.endswith("#player-1")
