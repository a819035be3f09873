import errno
import json
import os
import re

import pytest

from sepcore.errors import AudioEncodeError
from sepcore.separation.stem_files.folder_page import write_folder_page
from sepcore.separation.stem_files.page_links import link_page
from tests.raised import raises
from tests.separation.stem_files.pages import write_pages


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def linked(path, pattern=r'<a (?:rel="(?P<rel>\w+)" )?href="(?P<to>[^"]*)">'):
    return [(match["rel"], match["to"]) for match in re.finditer(pattern, path.read_text("utf-8"))]


def test_the_list_leads_to_every_song_by_folder_and_by_name_with_numbers_by_size(out):
    pages = write_pages(out, ["Track 10", "b/First", "track 2", "a/Second"])
    path = write_folder_page(out, pages)
    assert path == out / "index.html"
    assert [to for _, to in linked(path)] == [
        "track%202/index.html",
        "Track%2010/index.html",
        "a/Second/index.html",
        "b/First/index.html",
    ]
    assert "4 songs, 0:04 in all" in path.read_text("utf-8")


def test_accents_do_not_put_a_song_behind_the_others(out):
    path = write_folder_page(out, write_pages(out, ["Zoo", "École", "Ende"]))
    assert re.findall(r'data-value="(\w+)"><a', path.read_text("utf-8")) == ["École", "Ende", "Zoo"]


def test_names_of_any_digits_have_an_order(out):
    names = ["abc", "３", "²", "10", "9", "1a", "a1", "a-1", "١", "track ½", "\udcff"]
    assert write_folder_page(out, write_pages(out, names))
    shown = re.findall(r'data-value="([^"]*)"><a', (out / "index.html").read_text("utf-8"))
    assert shown.index("9") < shown.index("10") < shown.index("abc")


def test_songs_in_one_folder_need_no_column_for_it(out):
    assert ">folder<" not in write_folder_page(out, write_pages(out, ["One", "Two"])).read_text("utf-8")


def test_each_song_leads_to_the_list_and_to_its_neighbors(out):
    write_folder_page(out, write_pages(out, ["a/One", "b/Two", "b/Three"]))
    one, three, two = (out / name / "index.html" for name in ("a/One", "b/Three", "b/Two"))
    assert linked(one)[:2] == [(None, "../../index.html"), ("next", "../../b/Three/index.html")]
    assert linked(three)[:3] == [
        ("prev", "../../a/One/index.html"),
        (None, "../../index.html"),
        ("next", "../Two/index.html"),
    ]
    assert linked(two)[:2] == [("prev", "../Three/index.html"), (None, "../../index.html")]


def test_links_change_nothing_else_in_a_page(out):
    pages = write_pages(out, ["One", "Two"])
    page = out / "One" / "index.html"
    before = page.read_bytes().splitlines()
    write_folder_page(out, pages)
    after = page.read_bytes().splitlines()
    changed = [number for number, lines in enumerate(zip(before, after, strict=True)) if lines[0] != lines[1]]
    assert len(changed) == 1
    assert after[changed[0]].startswith(b'<nav class="songs"')


def test_a_page_whose_neighbors_stay_is_not_written_again(out):
    pages = write_pages(out, ["One", "Two"])
    write_folder_page(out, pages)
    page = out / "One" / "index.html"
    os.utime(page, (1, 1))
    write_folder_page(out, pages)
    assert page.stat().st_mtime == 1


def test_a_song_without_a_page_is_left_out(out):
    pages = write_pages(out, ["One", "Two", "Three"])
    (out / "Three" / "index.html").unlink()
    path = write_folder_page(out, pages)
    assert [to for _, to in linked(path)] == ["One/index.html", "Two/index.html"]
    assert "Three" not in (out / "One" / "index.html").read_text("utf-8")


def test_without_any_page_there_is_no_list(out):
    assert write_folder_page(out, [("One", "One/index.html")]) is None
    assert not out.exists()


def test_a_lone_song_that_is_the_folders_index_needs_no_list(out):
    (_, page), *_ = write_pages(out, ["One"])
    (out / page).rename(out / "index.html")
    before = (out / "index.html").read_bytes()
    assert write_folder_page(out, [("One", "index.html")]) is None
    assert (out / "index.html").read_bytes() == before


def test_a_list_makes_way_for_a_song_that_is_the_folders_index(out):
    pages = write_pages(out, ["One", "Two"])
    (out / pages[0][1]).rename(out / "index.html")
    assert write_folder_page(out, [("One", "index.html"), pages[1]]) == out / "songs.html"
    assert (None, "songs.html") in linked(out / "index.html")


def test_another_page_is_not_touched(tmp_path):
    (tmp_path / "page.html").write_text("<p>mine</p>")
    link_page(tmp_path / "page.html", songs=tmp_path / "index.html", before=None, after=None)
    assert (tmp_path / "page.html").read_text() == "<p>mine</p>"


def test_a_list_that_cannot_be_written_is_told_in_one_line(out):
    pages = write_pages(out, ["One"])
    (out / "index.html").mkdir()
    with raises(AudioEncodeError, os.strerror(errno.EISDIR), path=out, hint="same command") as error:
        write_folder_page(out, pages)
    assert error.value.errno == errno.EISDIR


def test_names_are_text(out):
    name = "<b>'\"&amp;"
    page = write_folder_page(out, write_pages(out, [name, "Two"])).read_text("utf-8")
    assert "<b>" not in page
    assert "&lt;b&gt;&#39;&#34;&amp;amp;</a>" in page
    assert "<b>" not in (out / "Two" / "index.html").read_text("utf-8")


# What is there already


def texts(out):
    return re.findall(r'data-value="[^"]*"><a href="[^"]*">([^<]*)</a>', out.read_text("utf-8"))


def test_another_album_joins_those_that_are_listed_and_their_pages_lead_to_each_other(out):
    first = write_pages(out, ["a/One & Only", "a/Two"])
    write_folder_page(out, first)
    write_folder_page(out, write_pages(out, ["b/Three", "Zero"]))
    page = out / "index.html"
    assert texts(page) == ["Zero", "One &amp; Only", "Two", "Three"]
    assert re.findall(r'<td data-value="[^"]*">(\w*)<', page.read_text("utf-8")) == ["", "a", "a", "b"]
    assert ("next", "../../b/Three/index.html") in linked(out / "a" / "Two" / "index.html")
    (out / first[1][1]).unlink()
    write_folder_page(out, first)
    assert texts(page) == ["Zero", "One &amp; Only", "Three"]


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (r'<meta name="stemworks[^>]*>\n|<script type="application/json".*</script>\n', ""),
        (r'<script type="application/json".*</script>\n', ""),
        (r'(<script type="application/json" id="songs">).*(</script>\n)', r"\1[[1]]\2"),
    ],
)
def test_a_list_is_continued_that_an_earlier_version_wrote_or_somebody_edited(out, pattern, replacement):
    path = write_folder_page(out, write_pages(out, ["a/One & <Only>", "Two"]))
    written = path.read_text("utf-8")
    path.write_text(re.sub(pattern, replacement, written), "utf-8")
    assert path.read_text("utf-8") != written
    write_folder_page(out, write_pages(out, ["Three"]))
    assert texts(path) == ["Three", "Two", "One &amp; &lt;Only&gt;"]


def test_what_the_list_holds_can_be_read_as_json(out):
    path = write_folder_page(out, write_pages(out, ["a/<!--<script>", "Two"]))
    (songs,) = re.findall(r'<script type="application/json" id="songs">(.*)</script>', path.read_text("utf-8"))
    assert json.loads(songs)[0] == ["Two", "", "Two/index.html"]


def test_a_name_that_is_not_unicode_stays_listed(out):
    name = os.fsdecode(b"caf\xe9 ?#%")
    write_folder_page(out, write_pages(out, [name]))
    path = write_folder_page(out, write_pages(out, ["Two"]))
    assert (None, "caf%E9%20%3F%23%25/index.html") in linked(path)


@pytest.mark.parametrize("text", ["", "<!DOCTYPE html><title>mine</title><p>to listen to</p>", "\udcff"])
def test_a_users_own_index_is_left_alone_and_the_list_goes_beside_it(out, caplog, text):
    pages = write_pages(out, ["One", "Two"])
    (out / "index.html").write_text(text, errors="surrogateescape")
    for _ in range(2):
        assert write_folder_page(out, pages) == out / "songs.html"
    assert (out / "index.html").read_text(errors="surrogateescape") == text
    assert linked(out / "One" / "index.html")[0] == (None, "../songs.html")
    assert caplog.messages[0] == (
        f"{out / 'index.html'}: was not written by this program and is kept; the list of songs is songs.html"
    )


def test_a_link_is_a_users_own_index(out):
    pages = write_pages(out, ["One", "Two"])
    (out / "index.html").symlink_to(out / "One" / "index.html")
    assert write_folder_page(out, pages) == out / "songs.html"
    assert (out / "index.html").is_symlink()


def test_without_a_place_there_is_no_list_and_a_warning(out, caplog):
    pages = write_pages(out, ["One", "Two"])
    for name in ("index.html", "songs.html"):
        (out / name).write_text("mine")
    assert write_folder_page(out, pages) is None
    assert caplog.messages == [
        f"{out / 'index.html'}: was not written by this program and is kept; no list of songs is written"
    ]
    assert [(out / name).read_text() for name in ("index.html", "songs.html")] == ["mine", "mine"]


def test_the_page_of_a_song_of_an_earlier_run_makes_no_way_for_a_list(out):
    (_, page), two = write_pages(out, ["One", "Two"])
    (out / page).rename(out / "index.html")
    path = write_folder_page(out, [two])
    assert path == out / "songs.html"
    assert texts(path) == ["One", "Two"]


def test_numbers_in_other_scripts_are_sorted_as_text(out):
    write_folder_page(out, write_pages(out, ["３", "abc", "1"]))


@pytest.mark.parametrize(
    "damage",
    [('song-duration-s" content="', "9" * 400), ('song-duration-s" content="', "1.2."), ("<title>", "7" * 5000)],
)
def test_a_page_that_somebody_has_changed_stops_no_list(out, damage):
    pages = write_pages(out, ["One", "Two", "Three"])
    mark, extra = damage
    changed = out / "One" / "index.html"
    content = changed.read_text("utf-8")
    assert mark in content
    changed.write_text(content.replace(mark, mark + extra, 1), "utf-8")
    assert write_folder_page(out, pages[1:])
