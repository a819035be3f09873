import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest

from sepcore.errors import AudioEncodeError
from sepcore.signal.audio_reader import probe_audio, read_waveform
from sepcore.signal.audio_writer import CODECS, write_audio
from sepcore.signal.tags import Cover, SongTags, read_tags
from tests.raised import raises

RATE = 44100
TAGS = {
    "title": "Ærø – 日本 = ; # \\ \"q\" 'x' $(ls) %d",
    "artist": "first line\nsecond = line\n\n#fourth; \\",
    "album": "[CHAPTER]",
    "date": "2001",
    "track": "3/12",
    "genre": "Rock",
}
WITH_COVERS = ("mp3", "flac", "m4a", "ogg", "opus")
NOISE = np.random.default_rng(0).normal(0, 0.1, (RATE // 4, 2)).astype(np.float32)


def ffmpeg(*arguments):
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", *map(str, arguments)], check=True)


def picture(folder, suffix):
    path = folder / f"cover.{suffix}"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=200x200", "-frames:v", 1, path)
    return path


@pytest.fixture(scope="module")
def covers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("covers")
    return {
        codec: Cover(picture(folder, suffix).read_bytes(), codec)
        for suffix, codec in [("jpg", "mjpeg"), ("png", "png")]
    }


@pytest.fixture
def temporary_files(tmp_path, monkeypatch):
    """The folder of the temporary files of a test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def write(path, tags, waveform=NOISE):
    write_audio(path, waveform, sample_rate=RATE, tags=tags)
    return path


def with_tags(path, *tags):
    """A song that ffmpeg itself has tagged."""
    options = [part for tag in tags for part in ("-metadata", tag)]
    ffmpeg("-f", "lavfi", "-i", "sine=d=0.1", *options, path)
    return path


@pytest.mark.parametrize("codec", [codec for codec in CODECS if codec != "wav"])
def test_every_character_of_a_tag_comes_back_from_every_codec(tmp_path, codec):
    path = write(tmp_path / f"stem.{codec}", SongTags(TAGS))
    assert read_tags(path) == SongTags(TAGS)


@pytest.mark.parametrize("picture_codec", ["mjpeg", "png"])
@pytest.mark.parametrize("codec", WITH_COVERS)
def test_the_cover_comes_back_byte_for_byte(tmp_path, covers, codec, picture_codec):
    tags = SongTags(TAGS, covers[picture_codec])
    assert read_tags(write(tmp_path / f"stem.{codec}", tags)) == tags


@pytest.mark.parametrize("codec", WITH_COVERS)
def test_a_cover_alone_needs_no_tags(tmp_path, covers, codec):
    tags = SongTags(cover=covers["png"])
    assert read_tags(write(tmp_path / f"stem.{codec}", tags)) == tags


@pytest.mark.parametrize("codec", ["mp3", "flac", "ogg", "opus"])
def test_names_of_its_own_are_kept_where_the_format_has_room_for_them(tmp_path, codec):
    tags = SongTags({"my #own; name": "Ä"})
    assert read_tags(write(tmp_path / f"stem.{codec}", tags)) == tags


@pytest.mark.parametrize("codec", ["mp3", "flac", "m4a", "wma", "ogg", "opus"])
def test_tags_and_cover_do_not_change_the_audio(tmp_path, covers, codec):
    plain = write(tmp_path / f"plain.{codec}", None)
    tagged = write(tmp_path / f"tagged.{codec}", SongTags(TAGS, covers["mjpeg"]))
    decoded = [read_waveform(path, sample_rate=RATE, num_channels=2) for path in (plain, tagged)]
    np.testing.assert_array_equal(*decoded)
    assert probe_audio(tagged).num_streams == 1


def test_wav_takes_no_notice_of_tags(tmp_path, covers):
    plain, tagged = tmp_path / "plain.wav", tmp_path / "tagged.wav"
    write(plain, None)
    write(tagged, SongTags(TAGS, covers["png"]))
    assert tagged.read_bytes() == plain.read_bytes()


def test_wma_keeps_the_tags_without_the_cover(tmp_path, covers):
    assert read_tags(write(tmp_path / "stem.wma", SongTags(TAGS, covers["png"]))) == SongTags(TAGS)


def test_carriage_returns_and_backslashes_at_the_end_come_back(tmp_path):
    tags = SongTags({"lyrics": "1\r\n2\r3\n4", "artist": "A\\", "album": "B\\\\", "title": "\\\n\\"})
    assert read_tags(write(tmp_path / "stem.mp3", tags)) == tags


def test_a_cover_larger_than_a_page_of_ogg_comes_back(tmp_path):
    path = tmp_path / "noise.png"
    ffmpeg("-f", "lavfi", "-i", "nullsrc=s=300x300,geq=random(1)*255:128:128", "-frames:v", 1, path)
    cover = Cover(path.read_bytes(), "png")
    assert len(cover.image) > 65_536
    assert read_tags(write(tmp_path / "stem.opus", SongTags(cover=cover))).cover == cover


def test_the_cover_is_the_front_cover(tmp_path, covers):
    # ID3's type of the picture, after its MIME type.
    assert b"image/png\0\x03" in write(tmp_path / "stem.mp3", SongTags(cover=covers["png"])).read_bytes()


def test_of_two_pictures_the_front_cover_is_read(tmp_path, covers):
    back, front = picture(tmp_path, "jpg"), picture(tmp_path, "png")
    song = with_tags(tmp_path / "song.flac")
    both = tmp_path / "both.flac"
    inputs = ("-i", song, "-i", back, "-i", front, "-map", 0, "-map", 1, "-map", 2)
    names = ("-metadata:s:v:0", "comment=Cover (back)", "-metadata:s:v:1", "comment=Cover (front)")
    ffmpeg(*inputs, "-c", "copy", "-disposition:v", "attached_pic", *names, both)
    assert read_tags(both).cover == covers["png"]


def test_what_would_be_false_for_a_stem_is_left_out(tmp_path):
    false = (
        "REPLAYGAIN_TRACK_GAIN=-6 dB",
        "R128_TRACK_GAIN=-6",
        "iTunSMPB=0",
        "iTunNORM=0",
        "TLEN=1000",
        "encoded_by=LAME",
        "creation_time=2001-01-01",
        "acoustid_fingerprint=AQ",
    )
    for suffix in ("mp3", "flac", "ogg"):
        assert read_tags(with_tags(tmp_path / f"song.{suffix}", "title=A", *false)).tags == {"title": "A"}


@pytest.mark.parametrize("suffix", ["wav", "m4a", "mkv", "wma", "opus"])
def test_what_the_container_says_of_itself_is_left_out(tmp_path, suffix):
    assert {name.lower() for name in read_tags(with_tags(tmp_path / f"song.{suffix}", "title=A")).tags} == {"title"}


def test_tags_of_vorbis_comments_have_the_same_names_as_others(tmp_path):
    ogg, mp3 = (with_tags(tmp_path / f"song.{suffix}", "TITLE=A", "Artist=B") for suffix in ("ogg", "mp3"))
    assert read_tags(ogg) == read_tags(mp3) == SongTags({"title": "A", "artist": "B"})


def test_a_picture_that_stems_cannot_hold_becomes_a_png(tmp_path):
    song = with_tags(tmp_path / "song.mp3")
    both = tmp_path / "both.mp3"
    inputs = ("-i", song, "-i", picture(tmp_path, "bmp"), "-map", 0, "-map", 1)
    ffmpeg(*inputs, "-c", "copy", "-disposition:v", "attached_pic", both)
    cover = read_tags(both).cover
    assert cover.codec == "png"
    assert cover.image.startswith(b"\x89PNG")


def test_a_film_has_no_cover(tmp_path):
    film = tmp_path / "film.mp4"
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc=s=64x64:d=0.1", "-f", "lavfi", "-i", "sine=d=0.1", "-metadata", "title=A", film
    )
    assert read_tags(film) == SongTags({"title": "A"})


def test_a_broken_picture_is_a_logged_line_and_the_tags_stay(tmp_path, covers, caplog):
    song = write(tmp_path / "song.mp3", SongTags({"title": "A"}, covers["png"]))
    content = bytearray(song.read_bytes())
    start = content.index(b"\x89PNG") + 100
    content[start : start + 1000] = bytes(1000)
    song.write_bytes(content)
    assert read_tags(song) == SongTags({"title": "A"})
    assert "song.mp3: its cover (png) is left out: " in caplog.text


@pytest.mark.parametrize("content", [b"", b"no audio", None])
def test_a_file_without_readable_tags_is_a_logged_line_and_no_error(tmp_path, caplog, content):
    path = tmp_path / "song.mp3"
    if content is not None:
        path.write_bytes(content)
    assert not read_tags(path)
    assert "song.mp3: no tags can be read: " in caplog.text


def test_a_tag_in_an_unknown_encoding_is_no_error(tmp_path):
    song = with_tags(tmp_path / "song.flac", "title=Caf__")
    song.write_bytes(song.read_bytes().replace(b"Caf__", b"Caf\xe9\xff"))
    tags = read_tags(song)
    assert tags.tags["title"].startswith("Caf")
    assert read_tags(write(tmp_path / "stem.mp3", tags)) == tags


def test_without_ffmpeg_there_are_no_tags(tmp_path, monkeypatch):
    monkeypatch.delenv("FFMPEG_PATH", raising=False)
    monkeypatch.setenv("PATH", "")
    assert not read_tags(write(tmp_path / "song.wav", None))


@pytest.mark.parametrize("name", ["Ærø – 日本.mp3", "-x.mp3", "100%d.mp3", "a:b.mp3", "Latin-1 \udce9.mp3"])
def test_any_file_name_can_be_read(tmp_path, monkeypatch, covers, name):
    monkeypatch.chdir(tmp_path)
    tags = SongTags({"title": "A"}, covers["mjpeg"])
    assert read_tags(write(Path(name), tags)) == tags


def test_no_temporary_file_is_left(temporary_files, tmp_path, covers):
    read_tags(write(tmp_path / "stem.mp3", SongTags(TAGS, covers["png"])))
    assert list(temporary_files.iterdir()) == []


def test_after_an_error_no_temporary_file_is_left(temporary_files, tmp_path, covers):
    tags = SongTags(TAGS, covers["png"])
    with raises(AudioEncodeError, "option b to value loud", path=tmp_path / "stem.mp3"):
        write_audio(tmp_path / "stem.mp3", NOISE, sample_rate=RATE, bitrate="loud", tags=tags)
    assert list(temporary_files.iterdir()) == []
