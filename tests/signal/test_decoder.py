"""A file that is found damaged on the way: libsndfile reads up to the damage, ffmpeg from there."""

import numpy as np
import pytest
import soundfile

from sepcore.errors import AudioDecodeError
from sepcore.signal import audio_reader, decoder
from sepcore.signal.audio_reader import open_native, read_blocks
from sepcore.signal.sndfile import probe_sndfile, read_sndfile
from tests.raised import raises

RATE = 44100
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
    soundfile.write(path, walk, RATE, subtype="PCM_16")
    return path


def read(path, **options):
    return list(read_blocks(path, sample_rate=RATE, num_channels=2, block_samples=BLOCK, **options))


@pytest.mark.parametrize("excerpt", [{}, {"offset_s": 0.1, "duration_s": 1.8}])
@pytest.mark.parametrize("damage", [cut, one_wrong_byte, hole])
def test_a_damaged_flac_gives_what_ffmpeg_alone_gives(flac, monkeypatch, caplog, damage, excerpt):
    flac.write_bytes(damage(flac.read_bytes()))
    assert probe_sndfile(flac) is not None  # the damage does not show at the start
    blocks, said = read(flac, **excerpt), caplog.messages[:]
    caplog.clear()
    monkeypatch.setattr(audio_reader, "probe_sndfile", lambda path: None)
    expected = read(flac, **excerpt)
    assert [block.shape for block in blocks] == [block.shape for block in expected]
    np.testing.assert_array_equal(np.concatenate(blocks), np.concatenate(expected))
    assert said == caplog.messages


def test_what_is_whole_is_not_read_twice(flac, monkeypatch):
    monkeypatch.setenv("FFMPEG_PATH", "/nowhere")
    assert sum(map(len, read(flac))) == 100_000
    assert sum(map(len, read(flac, offset_s=1.0, duration_s=0.5))) == RATE // 2
    assert sum(map(len, open_native(flac).blocks)) == 100_000


def test_damage_beyond_the_excerpt_is_not_met(flac, monkeypatch):
    flac.write_bytes(cut(flac.read_bytes()))
    monkeypatch.setenv("FFMPEG_PATH", "/nowhere")
    assert sum(map(len, read(flac, duration_s=0.5))) == RATE // 2


def test_a_file_that_is_gone_when_reading_starts_is_an_error(flac):
    blocks = open_native(flac).blocks
    flac.unlink()
    with raises(AudioDecodeError, "No such file", "(ffmpeg exit code 1)", path=flac):
        next(blocks)


def test_an_excerpt_shorter_than_a_sample_holds_no_audio(flac):
    with raises(AudioDecodeError, "no audio", path=flac) as error:
        read(flac, duration_s=1e-6)
    assert "offset" not in str(error.value)


def test_ffmpeg_goes_on_after_the_last_block_that_was_handed_on(flac, monkeypatch):
    def ends_early(path, **options):
        yield next(read_sndfile(path, **options))

    whole = np.concatenate(read(flac))
    monkeypatch.setattr(decoder, "read_sndfile", ends_early)
    np.testing.assert_array_equal(np.concatenate(read(flac)), whole)
    np.testing.assert_array_equal(np.concatenate(read(flac, offset_s=1.2, duration_s=0.6)), whole[52_920:79_380])
