import errno
import json
import os
import subprocess

import musdb
import numpy as np
import psutil
import pytest
import stempeg

from sepcore.errors import AudioEncodeError
from sepcore.separation.stem_files.stem_mp4 import stem_mp4_writer, stem_order
from sepcore.signal.tags import Cover, SongTags, read_tags
from tests.disk import room_for
from tests.raised import raises

RATE = 44100
SAMPLES = RATE + 321
INSTRUMENTS = ("vocals", "drums", "bass", "other")
STREAMS = ["mixture", "drums", "bass", "other", "vocals"]
NAME = "Ärtist - Title"


def stems():
    """Noise below 4 kHz, which AAC keeps well and which is like itself at no lag but 0."""
    rng = np.random.default_rng(0)
    kernel = np.sinc(np.arange(-64, 65) * 8000 / RATE) * np.hanning(129) * 8000 / RATE
    noise = rng.normal(0, 0.1, (4, 2, SAMPLES))
    filtered = np.apply_along_axis(np.convolve, -1, noise, kernel, "same")
    filtered = filtered.transpose(0, 2, 1).astype(np.float32)
    return dict(zip(INSTRUMENTS, filtered, strict=True))


def write(path, blocks, *, block_samples=10_000, **options):
    settings = {"sample_rate": RATE, "num_channels": 2, "bitrate": "256k"} | options
    instruments = [name for name in blocks if name != "mixture"]
    with stem_mp4_writer(path, instruments, **settings) as append:
        for start in range(0, SAMPLES, block_samples):
            append({name: block[start : start + block_samples] for name, block in blocks.items()})


def probe(path):
    command = ["ffprobe", "-v", "error", "-of", "json", "-show_format", "-show_streams", path]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


@pytest.fixture(scope="module")
def written():
    blocks = stems()
    return blocks | {"mixture": sum(blocks.values())}


@pytest.fixture(scope="module")
def root(tmp_path_factory, written):
    """A set in MUSDB18's layout with one song."""
    folder = tmp_path_factory.mktemp("musdb")
    (folder / "train").mkdir()
    write(folder / "test" / f"{NAME}.stem.mp4", written, tags=SongTags({"title": "Title", "artist": "Ärtist"}))
    return folder


@pytest.fixture
def song(root):
    return root / "test" / f"{NAME}.stem.mp4"


def lag(decoded, original):
    """Samples by which one is later than the other."""
    size = 2 * SAMPLES
    spectrum = np.fft.rfft(decoded[:SAMPLES, 0], size) * np.conj(np.fft.rfft(original[:, 0], size))
    peak = int(np.argmax(np.fft.irfft(spectrum, size)))
    return peak if peak < SAMPLES else peak - size


def error_db(decoded, original):
    return 20 * np.log10(np.std(decoded[:SAMPLES] - original) / np.std(original))


def test_stempeg_reads_each_stream_where_it_was_written(song, written):
    decoded, rate = stempeg.read_stems(str(song))
    assert rate == RATE
    assert decoded.shape[0] == len(STREAMS)
    for name, stream in zip(STREAMS, decoded, strict=True):
        assert lag(stream, written[name]) == 0
        assert error_db(stream, written[name]) < -20


def test_every_stream_has_its_name_and_the_same_length(song):
    info = stempeg.Info(str(song))
    assert info.title_streams == STREAMS
    # Where players look for it; ffprobe 5 does not.
    assert all(f"name{name}".encode() in song.read_bytes() for name in STREAMS)
    assert len(set(info.nb_samples_streams)) == 1
    # The header counts in milliseconds.
    assert info.nb_samples_streams[0] == pytest.approx(SAMPLES, abs=RATE / 1000)


def test_musdb_finds_the_song_and_its_stems(root, written):
    (track,) = musdb.DB(root=str(root), subsets="test")
    assert (track.name, track.artist, track.title, track.rate) == (NAME, "Ärtist", "Title", RATE)
    assert track.audio.shape == track.stems.shape[1:]
    for name in INSTRUMENTS:
        assert lag(track.targets[name].audio, written[name]) == 0
        assert error_db(track.targets[name].audio, written[name]) < -20
    assert error_db(track.audio, written["mixture"]) < -20


def test_the_streams_add_up_to_the_mixture_within_the_error_of_aac(song):
    decoded, _ = stempeg.read_stems(str(song))
    assert error_db(decoded[1:].sum(axis=0), decoded[0][:SAMPLES]) < -20


def test_only_the_mixture_is_played_by_default(song):
    default = [stream["disposition"]["default"] for stream in probe(song)["streams"]]
    assert default == [1, 0, 0, 0, 0]


def test_tags_and_cover_are_in_the_file_behind_the_streams(tmp_path, written):
    image = tmp_path / "cover.png"
    source = ("-f", "lavfi", "-i", "testsrc=s=64x64", "-frames:v", "1")
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", *source, image], check=True)
    tags = SongTags({"title": "日本\n= ; # \\", "artist": "A"}, Cover(image.read_bytes(), "png"))
    path = tmp_path / "song.stem.mp4"
    write(path, written, tags=tags)
    assert read_tags(path) == tags
    assert [stream["codec_type"] for stream in probe(path)["streams"]] == ["audio"] * 5 + ["video"]
    assert stempeg.Info(str(path)).title_streams == STREAMS
    assert stempeg.read_stems(str(path), duration=0.1)[0].shape[0] == 5


def test_other_stems_are_in_the_order_given(tmp_path, written):
    path = tmp_path / "song.stem.mp4"
    write(path, {"vocals": written["vocals"], "accompaniment": written["bass"], "mixture": written["mixture"]})
    assert stempeg.Info(str(path)).title_streams == ["mixture", "vocals", "accompaniment"]


@pytest.mark.parametrize(
    ("instruments", "order"),
    [
        (("vocals", "drums", "bass", "other"), ("drums", "bass", "other", "vocals")),
        (["vocals", "accompaniment"], ("vocals", "accompaniment")),
        (("vocals", "piano", "drums", "bass", "other"), ("vocals", "piano", "drums", "bass", "other")),
        (("vocals", "vocals", "drums", "bass"), ("vocals", "vocals", "drums", "bass")),
    ],
)
def test_only_the_four_of_musdb_are_put_into_its_order(instruments, order):
    assert stem_order(instruments) == order


def test_mono_streams_are_read_as_mono(tmp_path, written):
    path = tmp_path / "song.stem.mp4"
    write(path, {name: block[:, :1] for name, block in written.items()}, num_channels=1)
    assert stempeg.Info(str(path)).channels_streams == [1] * 5


def test_nothing_but_the_file_is_left(song):
    assert list(song.parent.iterdir()) == [song]


def test_an_error_in_the_block_leaves_the_folder_as_it_was(tmp_path, written):
    path = tmp_path / "song.stem.mp4"
    path.write_text("the old one")

    def interrupted():
        with stem_mp4_writer(path, ["vocals"], sample_rate=RATE, num_channels=2) as append:
            append({name: written[name] for name in ("mixture", "vocals")})
            raise FileNotFoundError("something of the caller's")

    with pytest.raises(FileNotFoundError, match="something of the caller's"):
        interrupted()
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {path.name: "the old one"}
    assert not [child for child in psutil.Process().children() if child.name() == "ffmpeg"]


def test_an_encoder_that_refuses_is_one_line_with_the_name_of_the_file(tmp_path, written):
    path = tmp_path / "made" / "song.stem.mp4"
    with raises(AudioEncodeError, "value loud", "(ffmpeg exit code 1)", path=path) as error:
        write(path, written, bitrate="loud")
    assert ".tmp" not in str(error.value)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("num_bytes", [10_000, 60_000])
def test_a_disk_that_is_full_for_a_stream_or_for_all_is_one_line_and_leaves_nothing(tmp_path, written, num_bytes):
    path, too_large = tmp_path / "song.stem.mp4", os.strerror(errno.EFBIG)
    with room_for(num_bytes), raises(AudioEncodeError, too_large, path=path, hint="space") as error:
        write(path, written)
    assert error.value.errno == errno.EFBIG
    assert ".tmp" not in str(error.value)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path, written):
    with raises(AudioEncodeError, "folder", path=tmp_path):
        write(tmp_path, written)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, written):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "song.stem.mp4"
    with raises(AudioEncodeError, path=path) as error:
        write(path, written)
    assert error.value.errno in (errno.ENOTDIR, errno.EEXIST)
    assert os.strerror(error.value.errno) in error.value.problem
