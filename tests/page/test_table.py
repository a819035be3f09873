import pytest

from sepcore.page.table import SORTING_SCRIPT, Cell, Column, Table
from tests.page.songs import document

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


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="the row 'a' has 1 cells; expected 2"):
        Table(COLUMNS, [[Cell("a")]], caption="Scores")


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
