"""A folder of separated songs as a listener has it: opened from the disk in a real browser."""

import os

import pytest

from sepcore.separation.stem_files.folder_page import write_folder_page
from sepcore.separation.stem_files.page import write_song_page
from tests.page.listener import Listener
from tests.page.songs import MIXTURE_HZ
from tests.separation.stem_files.pages import STEMS_HZ, separated_song, write_pages

pytestmark = pytest.mark.slow

ODD = ["100% #1? a&b=c", "曲 – é", "<script>alert(1)</script>".replace("/", "∕"), 'C: "D"', "L" * 180]


def song_listener(page):
    page.locator("#song[data-state]").wait_for()  # its script has run
    return Listener(page, selector="#song")


@pytest.fixture
def listener(open_page, tmp_path):
    song, stems = separated_song(tmp_path, seconds=60.0)
    write_song_page(tmp_path / "page.html", song=song, stems=stems, title="A song")
    return song_listener(open_page(tmp_path / "page.html"))


def test_all_waveforms_are_seen_before_anything_is_decoded(listener):
    drawn = listener.page.evaluate(
        """[...document.querySelectorAll(".waveform")].map((canvas) =>
            canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value > 0))"""
    )
    assert drawn == [True, True, True]
    assert listener.state("voices.every((voice) => voice.buffer === null)")


def test_the_space_bar_plays_the_mixture_and_solo_mute_and_seek_work(listener):
    listener.page.keyboard.press("Space")
    listener.hears(MIXTURE_HZ)
    listener.press("Stems")
    listener.hears(*STEMS_HZ.values())
    listener.press("Solo vocals")
    listener.hears(STEMS_HZ["vocals"])
    listener.press("Solo vocals")
    listener.press("Mute vocals")
    listener.hears(STEMS_HZ["bass"])
    listener.at.get_by_label("Position in A song").fill("40")
    listener.wait("player.position > 40.1")
    listener.hears(STEMS_HZ["bass"])


def test_all_files_are_as_long_as_the_song_to_the_sample(listener):
    listener.page.keyboard.press("Space")
    listener.wait("player.state === 'playing'")
    assert listener.state("voices.map((voice) => voice.buffer.duration)") == [60, 60, 60]


def test_a_folder_is_listened_through_from_the_list_on(open_page, tmp_path):
    out = tmp_path / "out"
    page = open_page(write_folder_page(out, write_pages(out, ["a/One", "a/Two"], seconds=60.0)))
    for link, title in (("One", "One"), ("Next: Two", "Two")):
        page.get_by_role("link", name=link).click()
        page.get_by_role("heading", level=1).get_by_text(title).wait_for()
        song = song_listener(page)
        page.keyboard.press("Space")
        song.hears(MIXTURE_HZ)
    page.get_by_role("link", name="Previous: One").click()
    page.get_by_role("heading", level=1).get_by_text("One").wait_for()
    page.get_by_role("link", name="All songs").click()
    page.get_by_role("heading", level=1).get_by_text("out").wait_for()


def test_songs_of_any_name_are_reached_and_run_nothing(open_page, tmp_path):
    out = tmp_path / "all #1 50%"
    page = open_page(write_folder_page(out, write_pages(out, [*ODD, "z/a?"])))
    for name in [*ODD, "a?"]:
        page.get_by_role("link", name=name, exact=True).click()
        page.get_by_role("heading", level=1, name=name, exact=True).wait_for()
        page.get_by_role("link", name="All songs").click()


def test_a_name_that_is_not_unicode_is_reached_too(open_page, tmp_path):
    out = tmp_path / "out"
    page = open_page(write_folder_page(out, write_pages(out, [os.fsdecode(b"caf\xe9"), "One"])))
    page.get_by_role("link", name="caf\ufffd").click()
    page.locator("h1", has_text="caf\ufffd").and_(page.locator("#song h1")).wait_for()


@pytest.fixture
def songs(open_page, tmp_path):
    out = tmp_path / "out"
    return open_page(write_folder_page(out, write_pages(out, ["Zoë Éclair/Ünder", "b/Track 10", "b/Track 9"])))


def shown(page):
    return page.locator("tbody th:visible").all_inner_texts()


def test_songs_are_found_by_any_words_of_name_and_folder_without_accents(songs):
    field = songs.get_by_label("Find a song")
    field.fill("UNDER zoe")
    assert shown(songs) == ["Ünder"]
    assert songs.get_by_role("status").inner_text() == "1 of 3"
    field.fill("track x")
    assert shown(songs) == []
    field.fill("")
    assert shown(songs) == ["Track 9", "Track 10", "Ünder"]
    assert songs.get_by_role("status").inner_text() == ""


def test_songs_are_sorted_by_a_click(songs):
    songs.get_by_role("button", name="song").click()
    assert shown(songs) == ["Track 9", "Track 10", "Ünder"]
    songs.get_by_role("button", name="song").click()
    assert shown(songs) == ["Ünder", "Track 10", "Track 9"]
    assert songs.locator("th[aria-sort]").all_inner_texts() == ["song"]


def test_the_list_is_in_the_order_that_its_heading_says(songs):
    assert songs.locator("th[aria-sort=ascending]").inner_text() == "folder"
    before = shown(songs)
    for _ in range(2):
        songs.get_by_role("button", name="folder").click()
    assert shown(songs) == before
