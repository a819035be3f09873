import base64
import re

from PIL import Image

from sepcore.errors import ConfigError
from sepcore.page.player import Picture, PlayerSong, PlayerStem
from tests.page.songs import players, tone_song
from tests.raised import raises


def test_every_file_is_in_the_page_to_the_byte(tmp_path):
    song = tone_song(tmp_path, seconds=0.1)
    html = players(song)
    files = [song.mixture, *(path for stem in song.stems for path in stem.versions.values())]
    contents = {
        base64.b64decode(match) for match in re.findall(r'<script type="audio/wav;base64"[^>]*>(.*)</script>', html)
    }
    assert contents == {path.read_bytes() for path in files}
    assert len(contents) == 5


def test_a_picture_is_in_the_page_with_its_parts_and_kilohertz(tmp_path):
    Image.new("RGB", (4, 4), "red").save(tmp_path / "picture.png")
    song = tone_song(tmp_path, seconds=0.1, stems=("vocals",))
    picture = Picture(tmp_path / "picture.png", ("estimate", "reference"), 16000.0)
    stem = PlayerStem("vocals", song.stems[0].versions, picture)
    html = players(PlayerSong("A song", 0.1, song.mixture, [stem]))
    assert base64.b64encode((tmp_path / "picture.png").read_bytes()).decode() in html
    assert 'alt="Spectrogram of vocals: estimate, reference; 0 to 16 kHz"' in html
    assert html.count("<b>estimate</b>") == html.count("<b>reference</b>") == 1
    assert re.findall(r">(\d+ kHz)</i>", html) == ["5 kHz", "10 kHz", "15 kHz"] * 2


def test_what_no_browser_plays_is_refused_by_name(tmp_path):
    song = tone_song(tmp_path, seconds=0.1)
    (tmp_path / "song.wma").write_bytes(b"")
    with raises(ConfigError, "mp3, flac, wav", path=tmp_path / "song.wma"):
        players(PlayerSong("A song", 0.1, tmp_path / "song.wma", song.stems))


def test_no_path_of_this_machine_stands_in_the_page(tmp_path):
    html = players(tone_song(tmp_path, seconds=0.1))
    assert str(tmp_path) not in html
    assert "mixture.wav" not in html


def test_a_song_without_stems_is_a_player_of_its_mixture(open_page, tmp_path):
    from tests.page.songs import write_page

    song = tone_song(tmp_path, seconds=0.1, stems=())
    page = open_page(write_page(tmp_path, song))
    assert page.locator(".heard button").all_inner_texts() == ["Mixture"]
    page.get_by_role("button", name="Play").click()
    page.locator(".player.loaded").wait_for()
