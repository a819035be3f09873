import errno
import hashlib
import os
import pickle
import subprocess
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from sepcore.dataset.check import measure
from sepcore.dataset.check.measure import measure_song
from sepcore.dataset.manifest import TrackRow
from sepcore.errors import FfmpegMissing
from tests.dataset.check.conftest import RATE, noise


@pytest.fixture
def song(make_song):
    vocals, drums = noise(1), noise(2)
    return make_song(vocals + drums, vocals, drums)


def measured(row):
    return measure_song(row, mix_name="mix")


def converted(path, name, *options):
    target = path.with_name(name)
    subprocess.run(["ffmpeg", "-v", "error", "-i", path, *options, target], check=True)
    return target


def test_the_mixture_comes_first_then_the_stems_in_the_configs_order(song):
    files = measured(song)
    assert [file.signal for file in files] == ["mix", "vocals", "drums"]
    assert [file.path for file in files] == [str(path) for path in song.files]


def test_a_file_is_described_by_its_own_rate_channels_and_length(make_song):
    row = make_song(noise(1), noise(2, channels=1), noise(3, seconds=1), rates=(8000, 44100, 48000))
    forms = [(file.sample_rate, file.num_channels, file.num_samples) for file in measured(row)]
    assert forms == [(8000, 2, 16000), (44100, 1, 16000), (48000, 2, 8000)]
    assert measured(row)[0].duration_s == 2


def test_paths_are_absolute_whatever_the_row_says(song, monkeypatch):
    monkeypatch.chdir(song.mixture.parent)
    row = replace(song, mixture=song.mixture.relative_to(song.mixture.parent))
    assert measured(row)[0].path == str(song.mixture)


def test_size_times_and_sha256_are_the_files(song):
    file, found = measured(song)[0], song.mixture.stat()
    assert (file.size, file.mtime_ns, file.ctime_ns) == (found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    assert file.sha256 == hashlib.sha256(song.mixture.read_bytes()).hexdigest()


def test_a_lossless_copy_in_another_format_has_the_same_audio_hash_and_another_sha256(tmp_path, make_song):
    row = make_song(noise(1), noise(2), noise(3))
    soundfile.write(row.mixture, noise(1), RATE, subtype="PCM_16")
    copy = replace(row, mixture=converted(row.mixture, "mix.flac"))
    wav, flac = measured(row)[0], measured(copy)[0]
    assert wav.audio_hash == flac.audio_hash
    assert wav.sha256 != flac.sha256


@pytest.mark.parametrize("change", ["a sample", "the rate", "the channels"])
def test_other_audio_has_another_audio_hash(make_song, change):
    samples = noise(1)
    row = make_song(samples, samples, samples)
    before = measured(row)[0].audio_hash
    samples[100] += 2**-15 if change == "a sample" else 0
    samples = samples.reshape(-1, 1) if change == "the channels" else samples
    soundfile.write(row.mixture, samples, 4000 if change == "the rate" else RATE, subtype="FLOAT")
    assert measured(row)[0].audio_hash != before


@pytest.mark.parametrize(("name", "options"), [("mix.mp3", ["-ar", "44100"]), ("mix.m4a", ["-ar", "44100"])])
def test_lossy_files_are_measured_as_they_decode(song, name, options):
    file = measured(replace(song, mixture=converted(song.mixture, name, *options)))[0]
    assert (file.error, file.sample_rate, file.num_channels) == (None, 44100, 2)
    assert file.duration_s == pytest.approx(2, abs=0.1)
    assert file.rms_db == pytest.approx(measured(song)[0].rms_db, abs=1)


def test_stems_that_add_up_leave_no_residual(song):
    assert measured(song)[0].residual_db == -180


def test_the_residual_is_the_rms_of_what_the_stems_leave_relative_to_the_mixtures(make_song):
    mixture, vocals = noise(1, level=0.2), noise(2)
    rest = mixture - vocals
    expected = 10 * np.log10(np.mean(rest**2) / np.mean(mixture**2))
    assert measured(make_song(mixture, vocals, 0 * vocals))[0].residual_db == pytest.approx(expected, abs=1e-3)


def test_the_residual_is_over_the_length_that_all_files_have(make_song):
    vocals, drums = noise(1, seconds=7), noise(2, seconds=7)
    row = make_song(vocals + drums, vocals[: 6 * RATE], drums[: RATE // 2])
    assert measured(row)[0].residual_db == -180


@pytest.mark.parametrize("kind", ["rate", "channels", "nan", "silent mixture", "missing stem"])
def test_the_residual_is_none_where_it_cannot_be_said(make_song, kind):
    vocals, drums = noise(1), noise(2)
    mixture = vocals + drums
    if kind == "channels":
        drums = drums[:, :1]
    if kind == "nan":
        drums[5] = np.nan
    row = make_song(
        mixture * (kind != "silent mixture"), vocals, drums, rates=(RATE, RATE, 9000 if kind == "rate" else RATE)
    )
    if kind == "missing stem":
        row.files[2].unlink()
    assert measured(row)[0].residual_db is None


@pytest.mark.parametrize(
    ("content", "named"), [(None, os.strerror(errno.ENOENT)), (b"", "0 bytes"), (b"not music at all", "ffmpeg")]
)
def test_a_file_that_cannot_be_decoded_has_an_error_and_the_others_are_measured(song, content, named):
    path = song.files[2]
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    mixture, _, drums = measured(song)
    assert (mixture.error, mixture.num_samples) == (None, 16000)
    assert drums.path == str(path)
    assert named in drums.error
    assert str(path) not in drums.error
    assert pytest.approx(0) == drums.num_samples == drums.rms_db
    assert (drums.sha256, drums.audio_hash) == ("", "")
    assert drums.size == len(content or b"")


def test_a_folder_in_the_place_of_a_file_has_an_error(song):
    song.mixture.unlink()
    song.mixture.mkdir()
    assert os.strerror(errno.EISDIR) in measured(song)[0].error


def test_a_file_that_changes_while_it_is_read_has_an_error(song, monkeypatch):
    real = measure.open_native

    def replaced_meanwhile(path, **options):
        audio = real(path, **options)
        if path == song.files[1]:
            soundfile.write(path, noise(9, seconds=3), RATE)
        return audio

    monkeypatch.setattr(measure, "open_native", replaced_meanwhile)
    assert [file.error for file in measured(song)] == [None, "has changed while it was read", None]


def test_without_ffmpeg_the_song_is_not_blamed(song, monkeypatch):
    row = replace(song, mixture=converted(song.mixture, "mix.mp3"))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(FfmpegMissing):
        measured(row)


def test_measures_are_current_until_the_file_changes_or_goes(song):
    mixture, vocals, drums = measured(song)
    assert mixture.is_current()
    os.utime(song.files[0], ns=(0, mixture.mtime_ns + 1))
    song.files[1].unlink()
    soundfile.write(song.files[2], noise(4, seconds=1), RATE)
    assert [file.is_current() for file in (mixture, vocals, drums)] == [False] * 3


def test_a_rewrite_that_restores_size_and_time_is_still_seen(song):
    before = measured(song)[0]
    content = bytearray(song.mixture.read_bytes())
    content[-1] ^= 1
    song.mixture.write_bytes(content)
    os.utime(song.mixture, ns=(before.mtime_ns, before.mtime_ns))
    assert not before.is_current()


def test_measures_travel_to_other_processes(song):
    found = measured(song)
    assert pickle.loads(pickle.dumps(found)) == found


def peak_bytes(row):
    tracemalloc.start()
    try:
        measured(row)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_depend_on_the_length(make_song):
    def song(seconds):
        silence = np.zeros((RATE * seconds, 2), np.float32)
        return make_song(silence, silence, silence, name=str(seconds))

    assert peak_bytes(song(240)) < 1.1 * peak_bytes(song(30))


def test_the_same_file_may_be_named_twice(song):
    row = TrackRow("song", song.mixture, (("vocals", song.mixture), ("drums", song.files[2])), 2)
    mixture, vocals, _ = measured(row)
    assert (mixture.audio_hash, mixture.error) == (vocals.audio_hash, None)
