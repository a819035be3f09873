import errno
import os
import re
import tempfile
from pathlib import Path

import pytest

from sepcore.errors import AudioDecodeError, AudioEncodeError, ConfigError
from sepcore.separation.stem_files import page as page_module
from sepcore.separation.stem_files.page import clock, song_page_path, write_song_page
from sepcore.separation.stem_files.page_links import remove_song_page
from tests.raised import raises
from tests.separation.stem_files.pages import separated_song

SONG, OUT = Path("albums/First/My Song.mp3"), Path("out")


@pytest.mark.parametrize(
    ("filename_format", "expected"),
    [
        ("{filename}/{instrument}.{codec}", "My Song/index.html"),
        ("{filename}_{instrument}.{codec}", "My Song_index.html"),
        ("{foldername}/{instrument}-{filename}.{codec}", "First/index-My Song.html"),
        ("{instrument}.wav", "index.html"),
        ("{instrument}.{filename}", "index.My Song.html"),
        ("all/{codec}/{instrument}", "all/flac/index.html"),
    ],
)
def test_a_page_lies_where_a_stem_called_index_would(filename_format, expected):
    assert song_page_path(SONG, OUT, filename_format=filename_format, codec="flac") == OUT / expected


def test_songs_in_one_folder_have_pages_of_their_own():
    songs = [Path(f"{folder}/{name}") for folder in "ab" for name in ("x.mp3", "x.y.mp3", "index.mp3")]
    pages = {song_page_path(song, OUT, filename_format="{foldername}_{filename}_{instrument}.wav") for song in songs}
    assert len(pages) == len(songs)


def test_a_format_that_leads_out_of_the_folder_is_refused_for_the_page_too():
    with raises(ConfigError, "../{instrument}", f"out of {OUT}"):
        song_page_path(SONG, OUT, filename_format="../{instrument}")


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (59.6, "1:00"), (187, "3:07"), (3599, "59:59"), (3787, "1:03:07")]
)
def test_a_clock_has_hours_only_where_there_are_any(seconds, shown):
    assert clock(seconds) == shown


def note_of(page):
    return re.search(r'<p class="note">(.*)</p>', page.read_text("utf-8"))[1]


def test_a_whole_song_needs_no_word_on_what_part_of_it_there_is(tmp_path):
    song, stems = separated_song(tmp_path)
    write_song_page(tmp_path / "page.html", song=song, stems=stems)
    assert note_of(tmp_path / "page.html").startswith("The page plays compressed copies")


def test_a_page_of_an_excerpt_says_which(tmp_path):
    song, _ = separated_song(tmp_path, seconds=3.0)
    _, stems = separated_song(tmp_path / "part", seconds=2.0)
    write_song_page(tmp_path / "page.html", song=song, stems=stems, offset_s=1.0)
    assert note_of(tmp_path / "page.html") == "From 0:01 to 0:03 of the song."


def test_a_long_song_is_cut_and_the_page_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(page_module, "PAGE_MINUTES", 1 / 60)
    song, stems = separated_song(tmp_path, seconds=3.0)
    write_song_page(tmp_path / "page.html", song=song, stems=stems)
    page = (tmp_path / "page.html").read_text("utf-8")
    assert 'data-duration="1"' in page
    assert 'name="song-duration-s" content="3.000"' in page
    assert "minutes of 0:03; the stems&#39; files have all of it." in page


def test_a_page_leads_to_the_stems_beside_it(tmp_path):
    song, stems = separated_song(tmp_path)
    write_song_page(tmp_path / "stems" / "index.html", song=song, stems=stems)
    page = (tmp_path / "stems" / "index.html").read_text("utf-8")
    assert '<a href="vocals.wav">vocals.wav</a>, <a href="bass.wav">bass.wav</a>' in page


def test_a_page_has_its_songs_name_and_no_path_of_this_machine(tmp_path):
    song, stems = separated_song(tmp_path)
    write_song_page(tmp_path / "page.html", song=song, stems=stems)
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "<h1>song</h1>" in page
    assert str(tmp_path) not in page
    assert tempfile.gettempdir() + "/" not in page


def test_a_stem_that_cannot_be_read_leaves_the_old_page_and_no_other_file(tmp_path):
    song, stems = separated_song(tmp_path)
    (tmp_path / "page.html").write_text("old")
    stems["bass"].write_text("no audio")
    with raises(AudioDecodeError, path=stems["bass"]):
        write_song_page(tmp_path / "page.html", song=song, stems=stems)
    assert (tmp_path / "page.html").read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"song.wav", "stems", "page.html"}


def test_a_page_that_cannot_be_written_is_told_by_name_in_one_line(tmp_path):
    song, stems = separated_song(tmp_path)
    (tmp_path / "page.html").mkdir()
    with raises(AudioEncodeError, os.strerror(errno.EISDIR), path=tmp_path / "page.html") as error:
        write_song_page(tmp_path / "page.html", song=song, stems=stems)
    assert error.value.errno == errno.EISDIR
    assert not list(tmp_path.glob(".tmp*"))


def test_a_page_of_the_users_own_is_left_alone(tmp_path, caplog):
    song, stems = separated_song(tmp_path)
    (tmp_path / "index.html").write_text("mine")
    write_song_page(tmp_path / "index.html", song=song, stems=stems)
    assert (tmp_path / "index.html").read_text() == "mine"
    remove_song_page(tmp_path / "index.html")
    assert (tmp_path / "index.html").exists()
    (message,) = caplog.messages
    assert message.startswith(f"{tmp_path / 'index.html'}: is no page of this program's and is left alone")
    write_song_page(tmp_path / "page.html", song=song, stems=stems)
    write_song_page(tmp_path / "page.html", song=song, stems=stems, title="Again")
    assert "Again" in (tmp_path / "page.html").read_text("utf-8")
    remove_song_page(tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
