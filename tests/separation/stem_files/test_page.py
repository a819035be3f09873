import errno
import os
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest

from sepcore.errors import AudioDecodeError, AudioEncodeError, ConfigError
from sepcore.separation.stem_files import page as page_module
from sepcore.separation.stem_files.page import (
    clock,
    mp3_rate,
    song_page_path,
    write_page_audio,
    write_song_page,
)
from sepcore.separation.stem_files.page_links import remove_song_page
from sepcore.signal.audio_reader import probe_audio, read_waveform
from tests.page.songs import RATE, tone, write_wav
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
    assert message.startswith(f"{tmp_path / 'index.html'}: was not written by this program and is kept")
    write_song_page(tmp_path / "page.html", song=song, stems=stems)
    write_song_page(tmp_path / "page.html", song=song, stems=stems, title="Again")
    assert "Again" in (tmp_path / "page.html").read_text("utf-8")
    remove_song_page(tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


MONO = {"sample_rate": RATE, "num_channels": 1}


@pytest.mark.parametrize(("sample_rate", "expected"), [(44100, 44100), (37800, 44100), (96000, 48000), (4000, 8000)])
def test_a_page_has_the_rate_of_mp3_that_keeps_the_most(sample_rate, expected):
    assert mp3_rate(sample_rate) == expected


def test_an_excerpt_starts_and_ends_where_it_is_said_to(tmp_path):
    waveform = np.concatenate([tone(440, 1.0), tone(880, 1.0), tone(1320, 1.0)])
    file = write_wav(tmp_path / "song.wav", waveform)
    write_page_audio(tmp_path / "page.mp3", file, **MONO, offset_s=1.0, duration_s=1.0)
    assert probe_audio(tmp_path / "page.mp3").codec == "mp3"
    heard = read_waveform(tmp_path / "page.mp3", sample_rate=RATE, num_channels=1)
    assert len(heard) == RATE
    np.testing.assert_allclose(heard[400:-400], waveform[RATE + 400 : 2 * RATE - 400], atol=0.02)


def test_song_and_stem_stay_in_step_to_the_sample(tmp_path):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (3 * RATE, 1)).astype(np.float32)
    song, stem = write_wav(tmp_path / "song.wav", noise), write_wav(tmp_path / "stem.wav", noise[RATE:])
    write_page_audio(tmp_path / "0.mp3", song, **MONO, offset_s=1.0)
    write_page_audio(tmp_path / "1.mp3", stem, **MONO)
    mixture, alone = (
        read_waveform(tmp_path / f"{number}.mp3", sample_rate=RATE, num_channels=1)[:, 0] for number in range(2)
    )
    lags = np.correlate(mixture[4000:8000], alone[4000:8000], "full")
    assert lags.argmax() == 3999


def test_the_waveform_has_the_greatest_sample_of_each_part(tmp_path):
    waveform = np.zeros((1200 * 512, 1), np.float32)
    waveform[512 * 7 + 100], waveform[512 * 9 + 511] = -0.5, 2.0
    file = tmp_path / "song.flac"
    write_wav(file.with_suffix(".wav"), waveform)
    peaks = write_page_audio(tmp_path / "page.mp3", file.with_suffix(".wav"), **MONO)
    assert len(peaks) == 1200
    assert {number: peak for number, peak in enumerate(peaks) if peak} == {7: 128, 9: 255}


@pytest.mark.parametrize(("num_samples", "num_parts"), [(1, 1), (257, 2), (256 * 1201, 1200), (600_000, 1200)])
def test_a_waveform_is_never_longer_than_a_page_is_wide(num_samples, num_parts, tmp_path):
    file = write_wav(tmp_path / "song.wav", np.full((num_samples, 1), 0.2, np.float32))
    assert write_page_audio(tmp_path / "page.mp3", file, **MONO) == bytes([51] * num_parts)


def test_what_is_no_audio_leaves_nothing(tmp_path):
    (tmp_path / "song.wav").write_text("no audio")
    with raises(AudioDecodeError, "(ffprobe exit code 1)", path=tmp_path / "song.wav"):
        write_page_audio(tmp_path / "page.mp3", tmp_path / "song.wav", **MONO)
    assert not (tmp_path / "page.mp3").exists()
