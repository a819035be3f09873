import dataclasses
import os
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sepcore.dataset.cache.plan import chunk_starts, covering_starts, plan_shard
from sepcore.dataset.check.measure import measure_song
from sepcore.errors import DatasetError
from tests.dataset.cache.conftest import in_dtype, plan_of
from tests.raised import raises


def test_chunks_are_spread_evenly_half_a_second_from_the_ends():
    assert chunk_starts(31, chunk_duration_s=20, num_chunks=3) == [0.5, 5.5, 10.5]


def test_a_single_chunk_lies_in_the_middle():
    assert chunk_starts(30, chunk_duration_s=20, num_chunks=1) == [5]


@pytest.mark.parametrize("num_chunks", [1, 4])
def test_no_chunk_of_a_short_song_starts_before_it(num_chunks):
    assert min(chunk_starts(3, chunk_duration_s=20, num_chunks=num_chunks)) == 0


@given(num_samples=st.integers(0, 2000), chunk_samples=st.integers(1, 500))
def test_all_chunks_cover_a_song_in_full_chunks_as_few_as_can_be(num_samples, chunk_samples):
    starts = covering_starts(num_samples, chunk_samples)
    covered = {sample for start in starts for sample in range(start, min(start + chunk_samples, num_samples))}
    assert covered == set(range(num_samples))
    assert len(starts) == max(-(-num_samples // chunk_samples), 1)
    assert starts[:-1] == tuple(range(0, chunk_samples * (len(starts) - 1), chunk_samples))
    assert starts[-1] == max(num_samples - chunk_samples, 0)


def test_all_chunks_cover_the_recordings_though_the_row_is_short(config, write_song):
    row = dataclasses.replace(write_song("song"), duration_s=3.0)
    assert plan_of(row, config, num_chunks="all").starts == (0, 12_000, 20_000)


def test_a_plan_has_the_checked_files_and_starts_in_samples(config, write_song):
    row = write_song("song")
    plan = plan_of(row, config, num_chunks=3)
    assert plan.song == "song"
    assert [file.path for file in plan.files] == [str(path) for path in row.files]
    assert plan.starts == (4000, 10_000, 16_000)


def test_starts_never_go_backwards(config, write_song):
    row = write_song("song", duration_s=1.6)
    assert plan_of(row, config, num_chunks=4).starts == (0, 0, 1600, 4000)


def test_chunks_are_placed_where_all_files_have_audio(config, write_song):
    cut = write_song("cut", duration_s=2.5)
    row = dataclasses.replace(write_song("song"), stems=cut.stems)
    assert plan_of(row, config, num_chunks=3).starts == plan_of(cut, config, num_chunks=3).starts


def test_a_duration_beyond_the_end_of_the_mixture_changes_nothing(config, write_song):
    row = write_song("song")
    exaggerated = dataclasses.replace(row, duration_s=400.0)
    assert plan_of(exaggerated, config, num_chunks=3) == plan_of(row, config, num_chunks=3)


def test_another_number_of_channels_is_refused_and_the_song_named(config, write_song):
    row = write_song("duet", num_channels=1)
    with raises(DatasetError, "duet", "1 channel", "n_channels is 2", path=row.mixture):
        plan_of(row, config, num_chunks=1)


def test_a_file_that_cannot_be_decoded_is_refused_and_named(config, write_song):
    row = write_song("song")
    row.stems[0][1].write_bytes(b"no audio at all")
    with raises(DatasetError, "song", "vocals", "ffmpeg", path=row.stems[0][1], hint="row"):
        plan_of(row, config, num_chunks=1)


def test_renaming_moving_and_touching_a_song_keep_its_fingerprint(config, write_song, tmp_path):
    row = write_song("song")
    before = plan_of(row, config, num_chunks=2).fingerprint
    os.utime(row.mixture, ns=(1, 1))
    moved = shutil.move(row.mixture, tmp_path / "elsewhere.wav")
    renamed = dataclasses.replace(row, name="other", mixture=moved)
    assert plan_of(renamed, config, num_chunks=2).fingerprint == before


@pytest.mark.parametrize(
    "settings",
    [{"segment_frames": 32}, {"batch_size": 8}, {"random_seed": 1}, {"learning_rate": 0.1}, {"mix_name": "mixture"}],
    ids=str,
)
def test_what_only_training_sees_keeps_the_fingerprint(config, write_song, settings):
    row = write_song("song")
    other = config.model_copy(update=settings)
    assert plan_of(row, other, num_chunks=1).fingerprint == plan_of(row, config, num_chunks=1).fingerprint


@pytest.mark.parametrize(
    "settings",
    [
        {"hop_length": 64},
        {"frame_length": 256},
        {"num_bins": 64},
        {"sample_rate": 16000},
        {"instruments": ("drums", "vocals")},
        {"chunk_duration_s": 2.0},
        {"cache_dtype": "float16"},
        {"cache_format": "parquet"},
    ],
    ids=str,
)
def test_what_shards_are_made_with_changes_the_fingerprint(config, write_song, settings):
    row = write_song("song")
    other = config.model_copy(update=settings)
    assert plan_of(row, other, num_chunks=1).fingerprint != plan_of(row, config, num_chunks=1).fingerprint


@pytest.mark.parametrize(
    ("settings", "same"),
    [
        ({"hop_length": 64, "frame_length": 256, "num_bins": 64, "segment_frames": 128}, True),
        ({"sample_rate": 16000}, False),
        ({"cache_dtype": "int24"}, False),
        ({"cache_format": "parquet"}, False),
    ],
    ids=str,
)
@pytest.mark.parametrize("num_chunks", [2, "all"])
def test_waveforms_serve_every_spectrogram_and_segment(config, write_song, settings, same, num_chunks):
    row, waveforms = write_song("song"), in_dtype(config, "int16")
    other = waveforms.model_copy(update=settings)
    found = {plan_of(row, each, num_chunks=num_chunks).fingerprint for each in (config, waveforms, other)}
    assert len(found) == (2 if same else 3)


def test_the_chunks_places_and_every_byte_of_a_recording_change_the_fingerprint(config, write_song):
    row = write_song("song")
    found = {plan_of(row, config, num_chunks=1).fingerprint, plan_of(row, config, num_chunks=2).fingerprint}
    found.add(plan_of(dataclasses.replace(row, duration_s=3.9), config, num_chunks=1).fingerprint)
    content = bytearray(row.stems[1][1].read_bytes())
    content[-1] ^= 1
    row.stems[1][1].write_bytes(content)
    found.add(plan_of(row, config, num_chunks=1).fingerprint)
    assert len(found) == 4


@pytest.mark.parametrize(
    ("dtype", "duration_s", "size", "longest_s"),
    [("int16", 60_000, "8.6", 14_583), ("int24", 60_000, "8.6", 14_583), ("uint8", 100_000, "4.8", 43_750),
     ("float16", 60_000, "5.8", 21_875)],
)  # fmt: skip
def test_chunks_that_no_record_can_hold_are_refused_with_the_longest_that_one_can(
    config, write_song, dtype, duration_s, size, longest_s
):
    row = dataclasses.replace(write_song("a"), duration_s=duration_s)
    measures = [dataclasses.replace(file, num_samples=duration_s * 8000) for file in measure_song(row, mix_name="mix")]
    whole = in_dtype(config, dtype).model_copy(update={"chunk_duration_s": 1e6})
    problem = f"a chunk of 'a' would have {size} GB, and 2.1 GB are the most"
    with raises(DatasetError, problem, hint=f"Set chunk_duration to {longest_s} s or less."):
        plan_shard(row, measures, whole, num_chunks=1)
    fitting = whole.model_copy(update={"chunk_duration_s": float(longest_s)})
    assert plan_shard(row, measures, fitting, num_chunks=1).starts
