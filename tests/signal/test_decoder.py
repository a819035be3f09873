"""Files that libsndfile reads in ffmpeg's place: the same samples, and at the least doubt ffmpeg after all."""

import os
import subprocess

import numpy as np
import psutil
import pytest
import soundfile

from sepcore.errors import AudioDecodeError
from sepcore.signal import audio_reader, decoder
from sepcore.signal.audio_reader import open_native, read_blocks, read_waveform
from sepcore.signal.decoder import SndfileInfo, probe_sndfile, read_sndfile
from tests.raised import raises

RATE = 8000
INTEGERS = ["PCM_16", "PCM_24"]
ALL = ["PCM_U8", *INTEGERS, "PCM_32", "FLOAT", "DOUBLE"]
FORMATS = [(kind, subtype, 2) for kind in ("WAV", "WAVEX", "RF64", "W64", "AIFF") for subtype in ALL]
FORMATS += [("FLAC", subtype, 2) for subtype in INTEGERS]
FORMATS += [(kind, "PCM_24", channels) for kind in ("WAV", "WAVEX", "AIFF", "FLAC") for channels in (1, 6)]


def noise(channels=2, samples=3000):
    return np.random.default_rng(0).uniform(-1, 1, (samples, channels))


def save(path, waveform, kind="WAV", subtype="PCM_16"):
    soundfile.write(path, waveform, RATE, format=kind, subtype=subtype)
    return path


def samples_of_ffmpeg(*paths):
    command = ["ffmpeg", "-nostdin", "-v", "error"]
    for path in paths:
        command += ["-i", path]
    for number, path in enumerate(paths):
        command += ["-map", f"{number}:a", "-f", "f32le", "-c:a", "pcm_f32le", f"{path}.floats"]
    subprocess.run(command, check=True)
    return [np.fromfile(f"{path}.floats", "<f4") for path in paths]


@pytest.fixture
def read_by_ffmpeg(monkeypatch):
    """Read a file with ffmpeg, whatever it is."""

    def read(path, **options):
        with monkeypatch.context() as patch:
            patch.setattr(audio_reader, "probe_sndfile", lambda path: None)
            return read_waveform(path, sample_rate=RATE, num_channels=2, **options)

    return read


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """A file in each format, and what one ffmpeg decodes of it: ``{format: (path, samples)}``."""
    folder = tmp_path_factory.mktemp("formats")
    paths = [save(folder / f"{number}", noise(form[2]), *form[:2]) for number, form in enumerate(FORMATS)]
    return dict(zip(FORMATS, zip(paths, samples_of_ffmpeg(*paths), strict=True), strict=True))


@pytest.mark.parametrize(("kind", "subtype", "channels"), FORMATS)
def test_the_samples_are_those_of_ffmpeg(songs, kind, subtype, channels):
    path, expected = songs[kind, subtype, channels]
    assert probe_sndfile(path) == SndfileInfo(RATE, channels, 3000)
    blocks = list(read_sndfile(path, start=0, num_samples=3000, block_samples=1000))
    assert [block.shape for block in blocks] == [(1000, channels)] * 3
    assert {block.dtype for block in blocks} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(np.concatenate(blocks), expected.reshape(-1, channels))


@pytest.mark.parametrize(("kind", "subtype"), [("WAV", "PCM_24"), ("FLAC", "PCM_16")])
def test_an_excerpt_starts_and_ends_at_the_sample_at_which_that_of_ffmpeg_does(tmp_path, read_by_ffmpeg, kind, subtype):
    path = save(tmp_path / "song", noise(samples=5 * RATE), kind, subtype)
    rng = np.random.default_rng(0)
    for offset_s, duration_s in [(4.0, None), (1 / 3, 2.0), *rng.uniform(1e-3, 5, (4, 2))]:
        excerpt = {"offset_s": offset_s, "duration_s": duration_s}
        waveform = read_waveform(path, sample_rate=RATE, num_channels=2, **excerpt)
        np.testing.assert_array_equal(waveform, read_by_ffmpeg(path, **excerpt))


@pytest.mark.parametrize("name", ["song.mp3", "song.raw", "song", "-x:y.flac", "Latin-1 \udce9.wav"])
def test_the_name_says_nothing(tmp_path, name):
    path = save(tmp_path / "song.wav", noise()).rename(tmp_path / name)
    assert probe_sndfile(path) == SndfileInfo(RATE, 2, 3000)


def test_samples_beyond_full_scale_and_those_that_are_not_finite_are_let_through(tmp_path):
    waveform = np.float32([[3.5, -7.0], [np.nan, np.inf], [0.0, -np.inf]])
    path = save(tmp_path / "song.wav", waveform, subtype="FLOAT")
    np.testing.assert_array_equal(next(read_sndfile(path, start=0, num_samples=3, block_samples=3)), waveform)


def test_no_file_stays_open_when_reading_ends_early(tmp_path):
    path = save(tmp_path / "song.wav", noise())
    blocks = read_sndfile(path, start=0, num_samples=3000, block_samples=10)
    next(blocks)
    assert str(path) in {file.path for file in psutil.Process().open_files()}
    blocks.close()
    assert str(path) not in {file.path for file in psutil.Process().open_files()}


def data_length(content, length):
    at = content.index(b"data") + 4
    return content[:at] + length.to_bytes(4, "little") + content[at + 4 :]


def through_a_pipe(content):
    command = ["ffmpeg", "-v", "error", "-f", "wav", "-i", "pipe:", "-f", "wav", "pipe:"]
    return subprocess.run(command, input=content, capture_output=True, check=True).stdout


DOUBTFUL_WAVS = {
    "cut between samples": lambda content: content[:-4000],
    "cut within a sample": lambda content: content[:-4001],
    "header alone": lambda content: content[:44],
    "half a header": lambda content: content[:30],
    "data of length 0": lambda content: data_length(content, 0),
    "data of unknown length": lambda content: data_length(content, 0xFFFFFFFF),
    "data of half a sample": lambda content: data_length(content, 5999),
    "written by ffmpeg to a pipe": through_a_pipe,
    "junk behind the data": lambda content: content + b"junkjunkjunk",
}


@pytest.mark.parametrize("change", DOUBTFUL_WAVS.values(), ids=DOUBTFUL_WAVS)
def test_a_wav_whose_lengths_contradict_each_other_is_left_to_ffmpeg(tmp_path, change):
    path = save(tmp_path / "song.wav", noise())
    path.write_bytes(change(path.read_bytes()))
    assert probe_sndfile(path) is None


def test_a_chunk_that_libsndfile_does_not_know_is_no_doubt(tmp_path):
    path = save(tmp_path / "song.wav", noise())
    content = path.read_bytes() + b"xyzt\x04\x00\x00\x00abcd"
    path.write_bytes(content[:4] + (len(content) - 8).to_bytes(4, "little") + content[8:])
    assert probe_sndfile(path) == SndfileInfo(RATE, 2, 3000)
    np.testing.assert_array_equal(next(open_native(path).blocks).ravel(), samples_of_ffmpeg(path)[0])


def test_a_flac_without_a_length_is_left_to_ffmpeg(tmp_path):
    path = save(tmp_path / "song.flac", noise(), "FLAC")
    content = bytearray(path.read_bytes())
    content[21:26] = bytes([content[21] & 0xF0, 0, 0, 0, 0])
    path.write_bytes(content)
    assert probe_sndfile(path) is None
    assert len(next(open_native(path).blocks)) == 3000


@pytest.mark.parametrize(
    ("kind", "subtype"), [("WAV", "IMA_ADPCM"), ("WAV", "ULAW"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")]
)
def test_coded_files_are_left_to_ffmpeg(tmp_path, kind, subtype):
    assert probe_sndfile(save(tmp_path / "song.wav", noise(), kind, subtype)) is None


def test_what_is_no_file_is_left_to_ffmpeg_unopened(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")  # to open it would wait for ever
    for path in (tmp_path / "pipe.wav", tmp_path / "missing.wav", tmp_path):
        assert probe_sndfile(path) is None


@pytest.mark.parametrize("change", DOUBTFUL_WAVS.values(), ids=DOUBTFUL_WAVS)
def test_of_a_doubtful_wav_the_reader_gives_what_ffmpeg_gives(tmp_path, read_by_ffmpeg, change):
    path = save(tmp_path / "song.wav", noise())
    path.write_bytes(change(path.read_bytes()))
    np.testing.assert_equal(
        outcome(read_waveform, path, sample_rate=RATE, num_channels=2), outcome(read_by_ffmpeg, path)
    )


def outcome(read, path, **options):
    try:
        return read(path, **options)
    except AudioDecodeError as error:
        return str(error)


FLAC_RATE = 44100
BLOCK = 20_000


def cut(content):
    return content[: len(content) // 2]


def one_wrong_byte(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0x55]) + content[middle + 1 :]


def hole(content):
    return content[: len(content) // 2] + content[len(content) // 2 + 3000 :]


@pytest.fixture
def flac(tmp_path):
    path = tmp_path / "song.flac"
    walk = np.random.default_rng(0).uniform(-0.01, 0.01, (100_000, 2)).cumsum(axis=0).clip(-1, 1)
    soundfile.write(path, walk, FLAC_RATE, subtype="PCM_16")
    return path


def read_flac(path, **options):
    return list(read_blocks(path, sample_rate=FLAC_RATE, num_channels=2, block_samples=BLOCK, **options))


@pytest.mark.parametrize("excerpt", [{}, {"offset_s": 0.1, "duration_s": 1.8}])
@pytest.mark.parametrize("damage", [cut, one_wrong_byte, hole])
def test_a_damaged_flac_gives_what_ffmpeg_alone_gives(flac, monkeypatch, caplog, damage, excerpt):
    flac.write_bytes(damage(flac.read_bytes()))
    assert probe_sndfile(flac) is not None  # the damage does not show at the start
    blocks, said = read_flac(flac, **excerpt), caplog.messages[:]
    caplog.clear()
    monkeypatch.setattr(audio_reader, "probe_sndfile", lambda path: None)
    expected = read_flac(flac, **excerpt)
    assert [block.shape for block in blocks] == [block.shape for block in expected]
    np.testing.assert_array_equal(np.concatenate(blocks), np.concatenate(expected))
    assert said == caplog.messages


def test_what_is_whole_is_not_read_twice(flac, monkeypatch):
    monkeypatch.setenv("FFMPEG_PATH", "/nowhere")
    assert sum(map(len, read_flac(flac))) == 100_000
    assert sum(map(len, read_flac(flac, offset_s=1.0, duration_s=0.5))) == FLAC_RATE // 2
    assert sum(map(len, open_native(flac).blocks)) == 100_000


def test_damage_beyond_the_excerpt_is_not_met(flac, monkeypatch):
    flac.write_bytes(cut(flac.read_bytes()))
    monkeypatch.setenv("FFMPEG_PATH", "/nowhere")
    assert sum(map(len, read_flac(flac, duration_s=0.5))) == FLAC_RATE // 2


def test_a_file_that_is_gone_when_reading_starts_is_an_error(flac):
    blocks = open_native(flac).blocks
    flac.unlink()
    with raises(AudioDecodeError, "No such file", "(ffmpeg exit code 1)", path=flac):
        next(blocks)


def test_an_excerpt_shorter_than_a_sample_holds_no_audio(flac):
    with raises(AudioDecodeError, "no audio", path=flac) as error:
        read_flac(flac, duration_s=1e-6)
    assert "offset" not in str(error.value)


def test_ffmpeg_goes_on_after_the_last_block_that_was_handed_on(flac, monkeypatch):
    def ends_early(path, **options):
        yield next(read_sndfile(path, **options))

    whole = np.concatenate(read_flac(flac))
    monkeypatch.setattr(decoder, "read_sndfile", ends_early)
    np.testing.assert_array_equal(np.concatenate(read_flac(flac)), whole)
    np.testing.assert_array_equal(np.concatenate(read_flac(flac, offset_s=1.2, duration_s=0.6)), whole[52_920:79_380])
