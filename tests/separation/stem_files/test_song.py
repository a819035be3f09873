import errno
import os
import re
import subprocess
import threading

import numpy as np
import pytest
import soundfile
import stempeg

from sepcore.errors import AudioDecodeError, AudioEncodeError
from sepcore.separation.stem_files.names import chosen_stems, stem_paths
from sepcore.separation.stem_files.options import StemFileOptions
from sepcore.separation.stem_files.song import separate_file
from sepcore.signal.audio_reader import probe_audio
from sepcore.signal.audio_writer import write_audio
from tests.models import small_config
from tests.raised import raises
from tests.separation.stem_files.test_stem_mp4 import room_for

RATE = 8000


class Halves:
    """Stands where a separator would: its stems are known parts of the mixture, handed on in pieces of its own."""

    def __init__(self, **parts):
        self.parts = parts
        self.instruments = tuple(parts)
        self.config = small_config(instrument_list=list(parts))
        self.sample_rate = RATE

    def stream(self, blocks):
        waveform = np.concatenate(list(blocks))
        for piece in np.array_split(waveform, 3):
            yield {name: np.float32(part) * piece for name, part in self.parts.items()}


HALVES = Halves(vocals=0.25, drums=0.5, bass=0.25)


def song(path, seconds=1.0, rate=RATE, channels=2, level=0.8, seed=0):
    waveform = level * np.random.default_rng(seed).uniform(-1, 1, (round(seconds * rate), channels))
    write_audio(path, waveform.astype(np.float32), sample_rate=rate, bits=32)
    return path


def separate(path, out, separator=HALVES, **options):
    chosen = StemFileOptions(**options)
    stems = stem_paths(path, out, chosen_stems(separator.instruments, chosen), codec=chosen.codec)
    separate_file(separator, path, stems, chosen)
    return stems


def samples_of(path):
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return samples, rate


@pytest.fixture
def mixture(tmp_path):
    return song(tmp_path / "song.wav")


def test_only_the_chosen_stems_are_written(mixture, tmp_path):
    separate(mixture, tmp_path / "out", stems=("bass",))
    assert [path.name for path in (tmp_path / "out").rglob("*.wav")] == ["bass.wav"]


def test_the_residual_is_what_the_chosen_stems_leave(mixture, tmp_path):
    stems = separate(mixture, tmp_path / "out", stems=("vocals",), residual=True, bits=32)
    whole, _ = samples_of(mixture)
    np.testing.assert_allclose(samples_of(stems["residual"])[0], 0.75 * whole, atol=1e-7)
    np.testing.assert_allclose(samples_of(stems["vocals"])[0], 0.25 * whole, atol=1e-7)


def test_an_instrument_called_mixture_is_that_stem_beside_the_residual(mixture, tmp_path):
    separator = Halves(mixture=0.25, drums=0.75)
    stems = separate(mixture, tmp_path / "out", separator, stems=("mixture",), residual=True, bits=32)
    whole, _ = samples_of(mixture)
    np.testing.assert_allclose(samples_of(stems["mixture"])[0], 0.25 * whole, atol=1e-7)
    np.testing.assert_allclose(samples_of(stems["residual"])[0], 0.75 * whole, atol=1e-7)


def test_a_piece_without_samples_does_no_harm_to_the_residual(tmp_path):
    path = song(tmp_path / "song.wav", seconds=2 / RATE)  # in three pieces
    stems = separate(path, tmp_path / "out", stems=("drums",), residual=True, bits=32)
    np.testing.assert_allclose(samples_of(stems["residual"])[0], 0.5 * samples_of(path)[0], atol=1e-7)


@pytest.mark.parametrize("rate", [8000, 11025, 44100])
def test_stems_at_the_songs_own_rate_have_its_length_to_the_sample(rate, tmp_path):
    path = song(tmp_path / "song.wav", seconds=0.777, rate=rate)
    stems = separate(path, tmp_path / "out", sample_rate="source", bits=32)
    for stem in stems.values():
        samples, written = samples_of(stem)
        assert (written, len(samples)) == (rate, soundfile.info(path).frames)


@pytest.mark.parametrize("codec", ["ogg", "wma", "mp3"])
def test_a_lossy_codec_takes_no_more_than_48_khz_of_a_songs_own_rate(codec, tmp_path):
    path = song(tmp_path / "song.wav", rate=96_000)
    stems = separate(path, tmp_path / "out", sample_rate="source", codec=codec)
    assert probe_audio(stems["bass"]).sample_rate == 48_000


def test_a_bitrate_that_a_rate_does_not_have_is_said(mixture, tmp_path):
    with raises(AudioEncodeError, "(ffmpeg exit code 1)", hint="bitrate") as error:
        separate(mixture, tmp_path / "out", codec="ogg")
    assert error.value.path in {tmp_path / "out" / "song" / f"{name}.ogg" for name in HALVES.parts}


def test_stems_at_another_rate_have_it(mixture, tmp_path):
    stems = separate(mixture, tmp_path / "out", sample_rate=16000, codec="flac")
    samples, rate = samples_of(stems["vocals"])
    assert (rate, len(samples)) == (16000, 16000)


@pytest.mark.parametrize(("channels", "expected"), [(1, 1), (2, 2)])
def test_a_mono_song_gives_mono_stems_on_request(channels, expected, tmp_path):
    path = song(tmp_path / "song.wav", channels=channels)
    stems = separate(path, tmp_path / "out", keep_mono=True, bits=32)
    samples, _ = samples_of(stems["drums"])
    assert samples.shape[1] == expected
    np.testing.assert_allclose(samples, 0.5 * samples_of(path)[0], atol=1e-7)
    assert samples_of(separate(path, tmp_path / "both")["drums"])[0].shape[1] == 2


LOUD = Halves(vocals=3.0, drums=-2.0)


def test_samples_beyond_full_scale_are_clamped_in_integers_and_counted(mixture, tmp_path, caplog):
    stems = separate(mixture, tmp_path / "out", LOUD)
    whole, _ = samples_of(mixture)
    np.testing.assert_allclose(samples_of(stems["vocals"])[0], np.clip(3 * whole, -1, 1), atol=1e-4)
    count = np.count_nonzero(np.abs(3 * whole) > 1)
    assert re.search(rf"song\.wav: vocals: {count} samples lie beyond full scale and are clamped", caplog.text)


def test_floats_keep_them_unless_they_shall_be_clamped(mixture, tmp_path, caplog):
    kept = samples_of(separate(mixture, tmp_path / "kept", LOUD, bits=32)["vocals"])[0]
    assert np.abs(kept).max() > 2
    assert not caplog.text
    clamped = samples_of(separate(mixture, tmp_path / "clamped", LOUD, bits=32, clipping="clamp")["vocals"])[0]
    np.testing.assert_array_equal(clamped, np.clip(kept, -1, 1))


def test_rescaled_stems_are_turned_down_by_one_factor_and_nothing_temporary_stays(mixture, tmp_path, caplog):
    stems = separate(mixture, tmp_path / "out", LOUD, clipping="rescale", bits=32)
    whole, _ = samples_of(mixture)
    gain = (1 - 2**-15) / np.abs(3 * whole).max()
    for name, part in LOUD.parts.items():
        np.testing.assert_allclose(samples_of(stems[name])[0], gain * part * whole, atol=1e-6)
    assert "all stems turned down by" in caplog.text
    assert sorted(path.name for path in (tmp_path / "out" / "song").iterdir()) == ["drums.wav", "vocals.wav"]


def test_stems_that_fit_are_not_rescaled(mixture, tmp_path, caplog):
    plain, rescaled = (
        samples_of(separate(mixture, tmp_path / str(clipping), clipping=clipping)["drums"])[0]
        for clipping in (None, "rescale")
    )
    np.testing.assert_array_equal(plain, rescaled)
    assert not caplog.text


@pytest.mark.parametrize("codec", ["mp3", "flac", "ogg", "opus", "m4a"])
def test_the_songs_tags_go_with_its_stems(codec, tmp_path):
    plain = song(tmp_path / "plain.wav")
    command = ["ffmpeg", "-v", "error", "-i", plain, "-metadata", "title=Ünïcode = ;", tmp_path / "song.flac"]
    subprocess.run(command, check=True)
    stems = separate(tmp_path / "song.flac", tmp_path / "out", codec=codec, sample_rate=44100)
    probe = ["ffprobe", "-v", "error", "-show_entries", "format_tags:stream_tags", "-of", "json", stems["bass"]]
    assert "Ünïcode = ;" in subprocess.run(probe, capture_output=True, text=True, check=True).stdout
    assert probe_audio(stems["bass"]).duration_s == pytest.approx(1.0, abs=0.1)


def test_a_stem_mp4_holds_the_mixture_and_the_stems_in_step(tmp_path):
    rate = 44100
    separator = Halves(vocals=0.5, drums=0.25, bass=0.125, other=0.125)
    separator.config = small_config(instrument_list=list(separator.parts), sample_rate=rate)
    time = np.arange(2 * rate) / rate
    tone = (0.5 * np.sin(2 * np.pi * 440 * time) * np.sin(np.pi * time / 2))[:, None].repeat(2, axis=1)
    write_audio(tmp_path / "A - B.wav", tone.astype(np.float32), sample_rate=rate)
    stems = separate(tmp_path / "A - B.wav", tmp_path / "out", separator, codec="stem.mp4")
    streams, read_rate = stempeg.read_stems(str(stems["stems"]))
    assert (len(streams), read_rate) == (5, rate)
    for stream, part in zip(streams, (1, 0.25, 0.125, 0.125, 0.5), strict=True):  # drums, bass, other, vocals
        np.testing.assert_allclose(stream[: len(tone)], part * tone, atol=0.01)


def test_one_stem_that_cannot_be_written_leaves_none_and_no_thread(mixture, tmp_path):
    (tmp_path / "out" / "song" / "drums.wav").mkdir(parents=True)
    before = threading.active_count()
    with raises(AudioEncodeError, "folder", path=tmp_path / "out" / "song" / "drums.wav"):
        separate(mixture, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "song").iterdir()] == ["drums.wav"]
    assert threading.active_count() == before


@pytest.mark.parametrize("order", [("noise", "silence"), ("silence", "noise")])
def test_an_encoder_that_fails_at_its_very_end_leaves_no_stem_and_the_old_ones_as_they_were(order, mixture, tmp_path):
    separator = Halves(**{name: {"noise": 0.9, "silence": 0.0}[name] for name in order})
    old = separate(song(tmp_path / "old" / "song.wav", seconds=0.01), tmp_path / "out", separator, codec="flac")
    before = {path: path.read_bytes() for path in old.values()}
    # Silence is small enough; the noise is not, which shows when the encoder is told that there is no more.
    with room_for(9000), raises(AudioEncodeError, path=old["noise"]) as error:
        separate(mixture, tmp_path / "out", separator, codec="flac")
    assert error.value.errno == errno.EFBIG
    assert ".tmp" not in str(error.value)
    assert {path: path.read_bytes() for path in (tmp_path / "out" / "song").iterdir()} == before


def test_a_full_disk_before_the_stems_are_rescaled_names_a_stem_and_leaves_nothing(mixture, tmp_path):
    with room_for(9000), raises(AudioEncodeError, os.strerror(errno.EFBIG)) as error:
        separate(mixture, tmp_path / "out", codec="flac", clipping="rescale")
    assert error.value.errno == errno.EFBIG
    assert error.value.path in {tmp_path / "out" / "song" / f"{name}.flac" for name in HALVES.parts}
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("clipping", ["clamp", "rescale"])
def test_a_folder_that_cannot_be_made_is_one_line(clipping, mixture, tmp_path):
    (tmp_path / "out").touch()
    with raises(AudioEncodeError, path=tmp_path / "out" / "song" / "vocals.wav") as error:
        separate(mixture, tmp_path / "out", clipping=clipping)
    assert error.value.errno in (errno.ENOTDIR, errno.EEXIST)
    assert os.strerror(error.value.errno) in error.value.problem


def test_a_song_that_breaks_in_the_middle_leaves_no_stem_and_no_thread(tmp_path):
    samples = np.zeros((RATE, 2), np.float32)
    samples[-5] = np.nan
    write_audio(tmp_path / "song.wav", samples, sample_rate=RATE, bits=32)
    before = threading.active_count()
    with raises(AudioDecodeError, "NaN", path=tmp_path / "song.wav"):
        separate(tmp_path / "song.wav", tmp_path / "out", clipping="rescale", bits=32)
    assert not (tmp_path / "out").exists()
    assert threading.active_count() == before
