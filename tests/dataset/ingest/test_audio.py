import errno
import json
import os
import shutil
import tracemalloc

import ffmpeg
import numpy as np
import pytest
import soundfile

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.ingest.audio import prepare_song
from sepcore.dataset.ingest.songs import list_folder_songs, list_musdb_songs
from sepcore.errors import AudioDecodeError, AudioEncodeError, DatasetError
from sepcore.signal.audio_writer import write_audio
from tests.dataset.ingest.conftest import (
    FIVE_STEMS,
    FOUR_STEMS,
    TWO_STEMS,
    ingest,
    modified,
    noise,
    read,
    write_recording,
    write_song,
)
from tests.raised import raises

STEMS = ("vocals.wav", "drums.wav", "bass.wav", "other.wav")


def only_song(root):
    (song,) = list_folder_songs(root)
    return song


def bring(root, out, config):
    return prepare_song(only_song(root), out, config)


def stem(row, name):
    return dict(row.stems)[name]


def written(out, before=None):
    """Names of the wav files that were written since ``before``."""
    before = before or {}
    return sorted(
        path.name for path, time in modified(out).items() if path.suffix == ".wav" and before.get(path) != time
    )


@pytest.mark.parametrize("suffix", ["wav", "flac", "aiff"])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_lossless_files_of_the_right_rate_and_channels_are_used_where_they_lie(tmp_path, suffix, subtype):
    root = tmp_path / "set"
    write_song(root / "A - B", f"mixture.{suffix}", f"VOCALS.{suffix}", f"accompaniment.{suffix}", subtype=subtype)
    row = bring(root, tmp_path / "out", TWO_STEMS)
    assert row.name == "A - B"
    assert row.mixture == root / "A - B" / f"mixture.{suffix}"
    assert [path.name for _, path in row.stems] == [f"VOCALS.{suffix}", f"accompaniment.{suffix}"]
    assert row.duration_s == 0.5
    assert not (tmp_path / "out").exists()


def test_float_files_that_this_project_wrote_are_used_where_they_lie(tmp_path):
    folder = tmp_path / "set" / "A"
    for name in ("mixture", "vocals"):
        write_audio(folder / f"{name}.wav", noise(name), sample_rate=44100, bits=32)
    bring(tmp_path / "set", tmp_path / "out", ModelConfig(instruments=("vocals",)))
    assert not (tmp_path / "out").exists()


def test_a_flac_of_unknown_length_is_decoded(tmp_path):
    write_recording(tmp_path / "set" / "A" / "vocals.wav")
    source, target = tmp_path / "set" / "A" / "vocals.wav", tmp_path / "set" / "A" / "vocals.flac"
    streamed = ffmpeg.input(str(source)).output("pipe:", format="flac", loglevel="error").run(capture_stdout=True)[0]
    target.write_bytes(streamed)
    source.unlink()
    row = bring(tmp_path / "set", tmp_path / "out", ModelConfig(instruments=("vocals",)))
    assert stem(row, "vocals").suffix == ".wav"
    assert row.duration_s == 0.5


def test_the_accompaniment_is_the_exact_sum_of_the_others_as_float(tmp_path):
    waveforms = write_song(tmp_path / "set" / "A - B", "mixture.wav", *STEMS, level=0.9)
    row = bring(tmp_path / "set", tmp_path / "out", TWO_STEMS)
    assert stem(row, "accompaniment") == tmp_path / "out" / "audio" / "A - B" / "accompaniment.wav"
    assert soundfile.info(stem(row, "accompaniment")).subtype == "FLOAT"
    total = waveforms["bass"] + waveforms["drums"] + waveforms["other"]
    assert np.abs(total).max() > 1
    np.testing.assert_array_equal(read(stem(row, "accompaniment")), total)


def test_a_missing_mixture_is_the_exact_sum_of_all_stems(tmp_path):
    waveforms = write_song(tmp_path / "set" / "A", *STEMS)
    row = bring(tmp_path / "set", tmp_path / "out", FOUR_STEMS)
    assert row.mixture == tmp_path / "out" / "audio" / "A" / "mixture.wav"
    np.testing.assert_array_equal(read(row.mixture), sum(waveforms.values()))
    assert written(tmp_path / "out") == ["mixture.wav"]


def test_mapped_recordings_are_added_up(tmp_path):
    waveforms = write_song(tmp_path / "set" / "A", "mix.wav", *STEMS, "piano.flac", "guitar.wav")
    config = FOUR_STEMS.model_copy(update={"instrument_mapping": {"other": ("other", "piano", "guitar")}})
    row = bring(tmp_path / "set", tmp_path / "out", config)
    total = waveforms["other"] + waveforms["piano"] + waveforms["guitar"]
    np.testing.assert_allclose(read(stem(row, "other")), total, atol=1e-7)


@pytest.mark.parametrize("suffix", ["wav", "mp3", "flac", "m4a", "ogg"])
def test_another_rate_another_number_of_channels_or_a_lossy_file_is_stored_as_24_bit(tmp_path, suffix):
    write_song(
        tmp_path / "set" / "A", f"mixture.{suffix}", f"vocals.{suffix}", f"drums.{suffix}", rate=48000, channels=1
    )
    config = ModelConfig(instruments=("drums", "vocals"))
    row = bring(tmp_path / "set", tmp_path / "out", config)
    assert [name for name, _ in row.stems] == ["drums", "vocals"]
    for path in row.files:
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (44100, 2, "PCM_24")
        assert info.duration == pytest.approx(0.5, abs=0.06)  # mp3 and m4a pad
    channels = read(row.mixture).T
    np.testing.assert_array_equal(channels[0], channels[1])


def test_resampling_keeps_the_waveform(tmp_path):
    seconds = np.arange(48000) / 48000
    tone = 0.5 * np.sin(2 * np.pi * 440 * seconds)
    (tmp_path / "set" / "A").mkdir(parents=True)
    soundfile.write(tmp_path / "set" / "A" / "vocals.wav", tone, 48000)
    row = bring(tmp_path / "set", tmp_path / "out", ModelConfig(instruments=("vocals",)))
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)
    np.testing.assert_allclose(read(stem(row, "vocals"))[1000:-1000, 0], expected[1000:-1000], atol=1e-4)


def test_what_is_louder_than_full_scale_is_kept_as_float(tmp_path):
    loud = write_recording(tmp_path / "set" / "A" / "vocals.wav", rate=22050, level=1.5, subtype="FLOAT")
    quiet = write_recording(tmp_path / "set" / "A" / "drums.wav", rate=22050)
    config = ModelConfig(instruments=("vocals", "drums"), sample_rate=22050, num_channels=1)
    row = bring(tmp_path / "set", tmp_path / "out", config)
    assert [soundfile.info(path).subtype for path in row.files] == ["FLOAT", "FLOAT", "PCM_24"]
    np.testing.assert_array_equal(read(stem(row, "vocals")), loud.mean(axis=1, keepdims=True))
    np.testing.assert_allclose(read(stem(row, "drums")), quiet.mean(axis=1, keepdims=True), atol=2**-23)


def test_recordings_of_different_lengths_are_padded_to_the_longest_and_it_is_said(tmp_path, caplog):
    folder = tmp_path / "set" / "A"
    parts = [
        write_recording(folder / f"{name}.wav", seconds=seconds) for name, seconds in (("vocals", 0.5), ("drums", 0.2))
    ]
    row = bring(tmp_path / "set", tmp_path / "out", ModelConfig(instruments=("vocals", "drums")))
    mixture = read(row.mixture)
    assert len(mixture) == len(parts[0])
    np.testing.assert_array_equal(mixture[: len(parts[1])], parts[0][: len(parts[1])] + parts[1])
    np.testing.assert_array_equal(mixture[len(parts[1]) :], parts[0][len(parts[1]) :])
    assert "drums.wav ends 0.300 s before the others, silence is added to it" in caplog.text


def test_memory_does_not_depend_on_the_length_of_the_song(tmp_path):
    peaks = []
    for seconds in (60, 240):
        root = tmp_path / str(seconds)
        (root / "A").mkdir(parents=True)
        for name in STEMS:
            soundfile.write(root / "A" / name, np.zeros((seconds * 44100, 2), np.int16), 44100)
        song = only_song(root)
        tracemalloc.start()
        prepare_song(song, root / "out", TWO_STEMS)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


def test_the_second_run_decodes_nothing(hq, tmp_path):
    songs = list_musdb_songs(hq)
    first = ingest(songs, tmp_path, TWO_STEMS)
    before = modified(tmp_path / "audio")
    assert len(before) == 8
    assert ingest(songs, tmp_path, TWO_STEMS) == first
    assert modified(tmp_path / "audio") == before


def test_another_split_or_instrument_decodes_only_what_is_new(hq, tmp_path):
    songs = list_musdb_songs(hq)
    ingest(songs, tmp_path, TWO_STEMS)
    before = modified(tmp_path / "audio")
    rows = ingest(songs, tmp_path, TWO_STEMS, split="artist", validation_fraction=0.3)
    assert len(rows["validation"]) == 1
    assert modified(tmp_path / "audio") == before
    ingest(songs, tmp_path, ModelConfig(instruments=("vocals", "accompaniment", "linear_mixture")))
    assert written(tmp_path, before) == ["linear_mixture.wav"] * 4
    before = modified(tmp_path / "audio")
    ingest(songs, tmp_path, TWO_STEMS)
    assert modified(tmp_path / "audio") == before


@pytest.fixture
def decoded(tmp_path):
    """A set of one song at another rate, all of it decoded into ``out``."""
    write_song(tmp_path / "set" / "A", "vocals.wav", "drums.wav", "bass.wav", rate=22050)
    bring(tmp_path / "set", tmp_path / "out", TWO_STEMS)
    assert written(tmp_path / "out") == ["accompaniment.wav", "mixture.wav", "vocals.wav"]
    return tmp_path


def test_a_changed_recording_makes_only_what_depends_on_it_anew(decoded):
    before = modified(decoded / "out")
    os.utime(decoded / "set" / "A" / "vocals.wav", ns=(0, 0))
    bring(decoded / "set", decoded / "out", TWO_STEMS)
    assert written(decoded / "out", before) == ["mixture.wav", "vocals.wav"]


def test_a_recording_that_comes_to_a_song_makes_only_the_sums_anew(decoded):
    before = modified(decoded / "out")
    write_recording(decoded / "set" / "A" / "piano.wav", rate=22050)
    bring(decoded / "set", decoded / "out", TWO_STEMS)
    assert written(decoded / "out", before) == ["accompaniment.wav", "mixture.wav"]


def test_a_set_that_moves_is_not_decoded_again(decoded):
    before = modified(decoded / "out")
    (decoded / "set").rename(decoded / "moved")
    bring(decoded / "moved", decoded / "out", TWO_STEMS)
    assert modified(decoded / "out") == before


def test_another_rate_replaces_the_files_of_the_first(decoded):
    row = bring(decoded / "set", decoded / "out", TWO_STEMS.model_copy(update={"sample_rate": 16000}))
    assert {soundfile.info(path).samplerate for path in row.files} == {16000}


@pytest.mark.parametrize("harm", ["remove", "cut short"])
def test_a_file_that_was_removed_or_cut_short_is_made_again_alone(decoded, harm):
    file = decoded / "out" / "audio" / "A" / "accompaniment.wav"
    before, content = modified(decoded / "out"), file.read_bytes()
    file.unlink()
    if harm == "cut short":
        file.write_bytes(content[:1000])
    bring(decoded / "set", decoded / "out", TWO_STEMS)
    assert file.read_bytes() == content
    assert written(decoded / "out", before) == ["accompaniment.wav"]


@pytest.mark.parametrize("text", ["", "{not JSON", "[]", '{"vocals.wav": 3}'])
def test_a_record_that_cannot_be_read_is_no_record(decoded, text):
    (decoded / "out" / "audio" / "A" / "made_from.json").write_text(text)
    before = modified(decoded / "out")
    bring(decoded / "set", decoded / "out", TWO_STEMS)
    assert written(decoded / "out", before) == ["accompaniment.wav", "mixture.wav", "vocals.wav"]


def test_the_record_says_what_each_file_was_made_from(decoded):
    record = json.loads((decoded / "out" / "audio" / "A" / "made_from.json").read_text())
    made_from = record["accompaniment.wav"]["made_from"]
    assert (made_from["sample_rate"], made_from["num_channels"]) == (44100, 2)
    state = (decoded / "set" / "A" / "bass.wav").stat()
    assert made_from["recordings"][0] == ["bass.wav", 0, state.st_size, state.st_mtime_ns]


def test_a_recording_that_cannot_be_decoded_leaves_what_there_was(decoded):
    before = modified(decoded / "out")
    (decoded / "set" / "A" / "bass.wav").write_text("not music")
    with raises(AudioDecodeError, "ffmpeg", path=decoded / "set" / "A" / "bass.wav"):
        bring(decoded / "set", decoded / "out", TWO_STEMS)
    after = {path: time for path, time in modified(decoded / "out").items() if path.suffix == ".wav"}
    assert after.items() <= before.items()
    assert not list((decoded / "out").rglob(".tmp*"))


def test_a_recording_that_vanished_is_named(decoded):
    song = only_song(decoded / "set")
    (decoded / "set" / "A" / "bass.wav").unlink()
    with raises(AudioDecodeError, os.strerror(errno.ENOENT), path=decoded / "set" / "A" / "bass.wav") as raised:
        prepare_song(song, decoded / "out", TWO_STEMS)
    assert raised.value.errno == errno.ENOENT


def test_a_song_that_lacks_an_instrument_is_refused(decoded):
    with raises(DatasetError, "A has no piano, other", "bass, drums, vocals", hint="instrument_mapping"):
        bring(decoded / "set", decoded / "out", FIVE_STEMS)


def test_leftovers_of_a_killed_run_are_removed(decoded):
    leftover = decoded / "out" / "audio" / "A" / ".tmp-99999999-0123abcd.wav"
    leftover.touch()
    (decoded / "out" / "audio" / "A" / "vocals.wav").unlink()
    bring(decoded / "set", decoded / "out", TWO_STEMS)
    assert not leftover.exists()


@pytest.mark.parametrize(
    "name", ["A. ", "..A", "tab\there", "line\nbreak", "back\\slash", "é" * 127, "日本 語", "\udcff"]
)
def test_any_name_of_a_song_gets_a_folder_below_out_and_a_manifest_that_can_be_read(tmp_path, name):
    write_song(tmp_path / "set" / f"x{name}", "vocals.wav", "drums.wav")
    write_song(tmp_path / "set" / f"x{name[:-1]}_", "vocals.wav", "drums.wav")
    config = ModelConfig(instruments=("vocals", "drums"))
    songs = list_folder_songs(tmp_path / "set")
    rows = ingest(songs, tmp_path / "out", config, split="fraction", test_fraction=0, validation_fraction=0)["train"]
    folders = list((tmp_path / "out" / "audio").iterdir())
    assert len(folders) == len(rows) == 2
    assert all(path.is_file() for row in rows for path in row.files)
    for folder in folders:
        assert len(folder.name.encode()) <= 255
        assert not folder.name.endswith((".", " "))


def test_a_full_disk_is_an_error_of_its_own_and_leaves_nothing_half_written(decoded, monkeypatch):
    shutil.rmtree(decoded / "out")

    def no_space(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("sepcore.signal.audio_writer._quantize", no_space)
    with raises(AudioEncodeError, os.strerror(errno.ENOSPC)):
        bring(decoded / "set", decoded / "out", TWO_STEMS)
    assert not (decoded / "out").exists()
