import errno
import os
import struct
import subprocess
from pathlib import Path
from typing import get_args

import numpy as np
import psutil
import pytest
import soundfile

from sepcore.config.choices import Codec
from sepcore.errors import AudioEncodeError, FfmpegMissing
from sepcore.separation.stem_files.options import STEM_MP4
from sepcore.signal.audio_reader import probe_audio, read_waveform
from sepcore.signal.audio_writer import CODECS, AudioWriter, wav_header, write_audio
from sepcore.system.os_errors import fix_for
from tests.disk import room_for
from tests.raised import raises

RATE = 44100


def music(seconds=1.0, channels=2):
    """Tones that every codec keeps, louder on the left."""
    time = np.arange(round(seconds * RATE)) / RATE
    tone = 0.3 * np.sin(2 * np.pi * 220 * time) + 0.2 * np.sin(2 * np.pi * 3000 * time)
    return np.stack([tone, 0.5 * tone], axis=1)[:, :channels].astype(np.float32)


def read(path, num_channels=2):
    return read_waveform(path, sample_rate=RATE, num_channels=num_channels)


def running_ffmpegs():
    return sum(child.name() == "ffmpeg" for child in psutil.Process().children())  # zombies too


@pytest.mark.parametrize(
    ("codec", "bits", "subtype"),
    [
        ("wav", 16, "PCM_16"),
        ("wav", 24, "PCM_24"),
        ("wav", 32, "FLOAT"),
        ("flac", 16, "PCM_16"),
        ("flac", 24, "PCM_24"),
    ],
)
def test_lossless_files_hold_the_samples_rounded_to_their_bits(tmp_path, codec, bits, subtype):
    path = tmp_path / f"stem.{codec}"
    write_audio(path, music(), sample_rate=RATE, bits=bits)
    info = soundfile.info(path)
    assert (info.samplerate, info.channels, info.subtype) == (RATE, 2, subtype)
    half_a_step = 0 if bits == 32 else 2.0**-bits
    by_another_library, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_allclose(by_another_library, music(), rtol=0, atol=half_a_step)
    np.testing.assert_array_equal(read(path), by_another_library)


@pytest.mark.parametrize(("codec", "bits"), [("wav", 16), ("wav", 24), ("flac", 24)])
def test_a_file_that_is_read_and_written_again_keeps_every_sample(tmp_path, codec, bits):
    first, second = tmp_path / f"first.{codec}", tmp_path / f"second.{codec}"
    full_scale = np.linspace(-1, 1, 20_000, dtype=np.float32).reshape(-1, 2)
    write_audio(first, full_scale, sample_rate=RATE, bits=bits)
    write_audio(second, read(first), sample_rate=RATE, bits=bits)
    np.testing.assert_array_equal(read(second), read(first))


def test_sixteen_bits_are_those_that_ffmpeg_writes(tmp_path):
    # Spleeter writes its stems so.
    rng = np.random.default_rng(0)
    waveform = rng.uniform(-1.1, 1.1, (10_000, 2)).astype(np.float32)
    command = "ffmpeg -nostdin -v error -f f32le -ar 44100 -ac 2 -i pipe: -f s16le pipe:"
    by_ffmpeg = subprocess.run(command.split(), input=waveform.tobytes(), capture_output=True, check=True).stdout
    write_audio(tmp_path / "stem.wav", waveform, sample_rate=RATE)
    ours, _ = soundfile.read(tmp_path / "stem.wav", dtype="int16")
    np.testing.assert_array_equal(ours, np.frombuffer(by_ffmpeg, "<i2").reshape(-1, 2))


@pytest.mark.parametrize("bits", [16, 24])
def test_integers_clip_what_lies_beyond_full_scale(tmp_path, bits):
    write_audio(tmp_path / "loud.wav", np.float32([[1.5, -1.5]]), sample_rate=RATE, bits=bits)
    np.testing.assert_array_equal(read(tmp_path / "loud.wav"), np.float32([[1 - 2.0 ** (1 - bits), -1]]))


def test_float_keeps_what_lies_beyond_full_scale(tmp_path):
    write_audio(tmp_path / "loud.wav", np.float32([[1.5, -1.5]]), sample_rate=RATE, bits=32)
    np.testing.assert_array_equal(read(tmp_path / "loud.wav"), np.float32([[1.5, -1.5]]))


@pytest.mark.parametrize(("codec", "lost"), [("mp3", 0), ("ogg", 0), ("m4a", 0), ("opus", 0), ("wma", 2048)])
def test_lossy_files_hold_about_the_same_music_in_the_same_place(tmp_path, codec, lost):
    # ffmpeg drops the first 2048 samples of every wma file that it reads.
    path = tmp_path / f"stem.{codec}"
    write_audio(path, music(), sample_rate=RATE, bitrate="128k")
    decoded = read(path)
    assert len(decoded) == pytest.approx(RATE - lost, abs=1024)
    middle = slice(4096, RATE - 4096)
    assert np.corrcoef(decoded[middle, 0], music()[lost:][middle, 0])[0, 1] > 0.98
    assert decoded[middle].std(axis=0) == pytest.approx(music()[middle].std(axis=0), rel=0.1)  # lame scales by 0.95


def test_the_bitrate_is_the_one_asked_for(tmp_path):
    for bitrate in ("64k", "256k"):
        write_audio(tmp_path / f"{bitrate}.mp3", music(4.0), sample_rate=RATE, bitrate=bitrate)
    ratio = (tmp_path / "256k.mp3").stat().st_size / (tmp_path / "64k.mp3").stat().st_size
    assert ratio == pytest.approx(4, rel=0.1)


def test_blocks_of_any_length_make_one_file(tmp_path):
    with AudioWriter(tmp_path / "stem.wav", sample_rate=RATE, num_channels=2, codec="wav", bits=32) as writer:
        for start, stop in [(0, 1), (1, 1), (1, 30_000), (30_000, RATE)]:
            writer.write(music()[start:stop])
    np.testing.assert_array_equal(read(tmp_path / "stem.wav"), music())


def test_samples_in_another_memory_order_are_written_as_they_read(tmp_path):
    for codec, bits in [("wav", 16), ("wav", 24), ("wav", 32), ("flac", 16)]:
        path = tmp_path / f"{bits}.{codec}"
        write_audio(path, np.asfortranarray(music()), sample_rate=RATE, bits=bits)
        np.testing.assert_allclose(read(path), music(), atol=2e-5)


def test_an_odd_number_of_bytes_is_padded(tmp_path):
    path = tmp_path / "odd.wav"
    write_audio(path, music(channels=1)[:1001], sample_rate=RATE, bits=24)
    assert path.stat().st_size % 2 == 0
    assert soundfile.info(path).frames == 1001


def test_a_wav_beyond_4_gb_keeps_its_length(tmp_path):
    samples = 1_100_000_000  # of 4 bytes
    path = tmp_path / "long.wav"
    header = wav_header(4 * samples, sample_rate=RATE, num_channels=2, bits=16)
    with path.open("wb") as file:
        file.write(header)
        file.seek(len(header) + 4 * samples - 4)
        file.write(struct.pack("<hh", 8192, -8192))  # all before it is a hole, which takes no space
    info = soundfile.info(path)
    assert (info.format, info.frames) == ("RF64", samples)
    assert probe_audio(path).duration_s == pytest.approx(samples / RATE)
    end = read_waveform(path, sample_rate=RATE, num_channels=2, offset_s=(samples - 100) / RATE)
    np.testing.assert_array_equal(end[-1], [0.25, -0.25])
    assert len(end) == 100


def test_the_folder_is_made_and_an_old_file_replaced(tmp_path):
    path = tmp_path / "a" / "b" / "stem.wav"
    for length in (100, 50):
        write_audio(path, music()[:length], sample_rate=RATE)
        assert len(read(path)) == length
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", ["Ærø – 日本.mp3", "-x.mp3", "100%d %20.mp3", "a:b.mp3", "Latin-1 \udce9.mp3"])
def test_any_file_name_can_be_written(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_audio(Path(name), music(0.1), sample_rate=RATE)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_codec_may_differ_from_the_suffix(tmp_path):
    with AudioWriter(tmp_path / "stem.audio", sample_rate=RATE, num_channels=2, codec="flac") as writer:
        writer.write(music(0.1))
    assert probe_audio(tmp_path / "stem.audio").codec == "flac"


@pytest.mark.parametrize("codec", ["wav", "mp3"])
def test_an_error_in_the_block_leaves_the_folder_as_it_was(tmp_path, codec):
    path = tmp_path / f"stem.{codec}"
    path.write_text("the old one")

    def interrupted():
        with AudioWriter(path, sample_rate=RATE, num_channels=2, codec=codec) as writer:
            writer.write(music())
            raise FileNotFoundError("something of the caller's")

    with pytest.raises(FileNotFoundError, match="something of the caller's"):
        interrupted()
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {path.name: "the old one"}
    assert running_ffmpegs() == 0


@pytest.mark.parametrize(("codec", "num_bytes"), [("wav", 50), *((codec, 10_000) for codec in CODECS)])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, codec, num_bytes):
    path = tmp_path / f"stem.{codec}"
    noise = np.random.default_rng(0).uniform(-1, 1, (2 * RATE, 2)).astype(np.float32)
    too_large = OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    with (
        room_for(num_bytes),
        raises(AudioEncodeError, too_large.strerror, path=path, hint=fix_for(too_large)) as error,
    ):
        write_audio(path, noise, sample_rate=RATE)
    assert error.value.errno == errno.EFBIG
    assert "\n" not in str(error.value)
    assert ".tmp" not in str(error.value)
    assert list(tmp_path.iterdir()) == []
    assert running_ffmpegs() == 0


@pytest.mark.parametrize("folder", ["plain", "Latin-1 \udce9"])
def test_of_a_disk_that_is_full_for_ffmpeg_the_number_is_told_and_no_temporary_name(tmp_path, fake_ffmpeg, folder):
    path, full = tmp_path / folder / "stem.mp3", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    said = f"Error writing trailer of $output: {full.strerror}"
    fake_ffmpeg(f'for output; do case "$output" in *.mp3) break; esac; done; cat >/dev/null; echo "{said}" >&2; exit 1')
    with raises(AudioEncodeError, "trailer of the file", full.strerror, path=path, hint=fix_for(full)) as error:
        write_audio(path, music(), sample_rate=RATE)
    assert error.value.errno == errno.ENOSPC
    assert ".tmp" not in str(error.value)
    assert not path.parent.exists()


def test_what_ffmpeg_refuses_is_told_in_its_own_words(tmp_path):
    path = tmp_path / "stem.mp3"
    with raises(AudioEncodeError, "option b to value loud", "(ffmpeg exit code 1)", path=path) as error:
        write_audio(path, music(), sample_rate=RATE, bitrate="loud")
    assert error.value.errno is None
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with raises(AudioEncodeError, path=tmp_path / "file" / "stem.wav", hint="folder") as error:
        write_audio(tmp_path / "file" / "stem.wav", music(), sample_rate=RATE)
    assert error.value.errno in (errno.ENOTDIR, errno.EEXIST)
    assert os.strerror(error.value.errno) in error.value.problem


def test_a_folder_in_the_place_of_the_file_is_refused_before_any_work(tmp_path):
    with raises(AudioEncodeError, "folder", path=tmp_path, hint="file"):
        AudioWriter(tmp_path, sample_rate=RATE, num_channels=2, codec="wav")


@pytest.mark.parametrize("path", ["stem", "stem.xyz"])
def test_an_unknown_codec_is_refused_with_the_known_ones(tmp_path, path):
    codec = repr(Path(path).suffix.removeprefix("."))
    with raises(AudioEncodeError, codec, path=tmp_path / path, hint="wav, mp3, ogg, m4a, wma, flac, opus"):
        write_audio(tmp_path / path, music(), sample_rate=RATE)


def test_flac_in_float_is_refused(tmp_path):
    with raises(AudioEncodeError, "flac", 16, 24, 32, path=tmp_path / "stem.flac", hint="wav"):
        write_audio(tmp_path / "stem.flac", music(), sample_rate=RATE, bits=32)


def test_a_block_of_the_wrong_shape_is_refused(tmp_path):
    writer = AudioWriter(tmp_path / "stem.wav", sample_rate=RATE, num_channels=2, codec="wav")
    with writer, pytest.raises(ValueError, match=r"shape \(10, 1\); expected \(samples, 2\)"):
        writer.write(music(channels=1)[:10])


def test_wav_needs_no_ffmpeg_and_mp3_says_that_it_does(tmp_path, monkeypatch):
    monkeypatch.delenv("FFMPEG_PATH", raising=False)
    monkeypatch.setenv("PATH", "")
    write_audio(tmp_path / "stem.wav", music(), sample_rate=RATE)
    with raises(FfmpegMissing, "ffmpeg", "PATH", hint="apt install ffmpeg"):
        write_audio(tmp_path / "stem.mp3", music(), sample_rate=RATE)
    assert [path.name for path in tmp_path.iterdir()] == ["stem.wav"]


def test_every_codec_on_offer_has_a_writer():
    assert {*CODECS, STEM_MP4} == set(get_args(Codec))
