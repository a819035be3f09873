from itertools import product

import numpy as np
import pytest
import scipy.stats

from sepcore.config.dataset import AugmentationConfig
from sepcore.dataset.activity import SOUNDING_DB, Activity
from sepcore.dataset.batches import training_batches, validation_batches
from sepcore.dataset.cache.build_index import build_index
from sepcore.dataset.cache.index import read_index
from sepcore.dataset.cache.plan import covering_starts
from sepcore.dataset.crops import Crops
from sepcore.dataset.stretches import Stretches
from sepcore.dataset.waveforms import WaveformExamples
from sepcore.signal.audio_reader import read_waveform
from tests.dataset.cache.conftest import shard_of
from tests.dataset.conftest import index_of, write_noise_song

CROP = 16
SILENT = -180.0


@pytest.fixture
def covering(config):
    """Whole songs in chunks of 40 samples at 10 Hz, crops of 16."""
    keys = {"cache_content": "waveform", "cache_dtype": "int16", "chunks_per_song": "all", "sample_rate": 10}
    return config.model_copy(update=keys | {"chunk_duration_s": 4.0, "segment_frames": 1, "frame_length": CROP})


def covered(lengths, levels_db=None):
    """The index of songs of so many samples, each covered by chunks of 40, and the levels of their only stem."""
    starts = [covering_starts(length, 40) for length in lengths]
    counts = [len(of_song) for of_song in starts]
    chunks = [(song, start) for song, of_song in enumerate(starts) for start in of_song]
    in_chunks = [min(lengths[song] - start, 40) for song, start in chunks]
    levels = None
    if levels_db is not None:  # of each sample of each song
        levels = [
            [[0.0] * -(-length // 10), [max(second) for second in np.split(part, range(10, length, 10))]]
            for (song, start), length in zip(chunks, in_chunks, strict=True)
            for part in [levels_db[song][start : start + length]]
        ]
    return index_of(counts, length=in_chunks, start_s=[start / 10 for _, start in chunks], levels_db=levels)


@pytest.mark.parametrize(
    "lengths", [[100], [40, 41, 79, 80, 81, 400], [16, 17, 25, 300], [123, 1000, 57], [16] * 10 + [1000]]
)
def test_ten_thousand_steps_cover_all_seconds_of_songs_evenly_across_the_joints(covering, lengths):
    crops = Crops(covered(lengths), covering, length=CROP)
    drawn = np.array([crops.own(*divmod(number, covering.batch_size)) for number in range(20_000)])
    # Songs are met as often as they are long: so each second is, if those of a song are taken together.
    counts = np.bincount(drawn[:, 0], minlength=len(lengths))
    expected = np.array(lengths) / sum(lengths) * len(drawn)
    # An epoch takes one from each of equal parts, so counts vary less than by chance, not more.
    assert len(lengths) == 1 or scipy.stats.chisquare(counts, expected).pvalue > 0.01
    for song, length in enumerate(lengths):
        places = np.bincount(drawn[drawn[:, 0] == song, 1], minlength=length - CROP + 1)
        assert len(places) == length - CROP + 1
        assert len(places) == 1 or scipy.stats.chisquare(places).pvalue > 0.001


@pytest.mark.parametrize("length", [16, 39, 40, 41, 75, 80, 121, 500])
def test_pieces_are_all_samples_of_a_part_in_their_order(covering, length):
    index = covered([length])
    stretches = Stretches(index, covering)
    assert len(stretches) == 1
    assert stretches.lengths.tolist() == [length]
    samples = np.arange(length)
    starts = covering_starts(length, 40)
    for first, count in product(range(length), (1, 16, 60)):
        if first + count <= length:
            pieces = list(stretches.pieces(0, first, count))
            read = [samples[starts[p.chunk] + p.first :][: p.length] for p in pieces]
            assert np.array_equal(np.concatenate(read), samples[first : first + count])
            assert all(p.length >= 1 and p.first + p.length <= index.length[p.chunk] for p in pieces)


def test_chunks_with_gaps_and_other_contents_stay_apart(covering, config):
    apart = index_of([2, 1], length=[40, 40, 40], start_s=[0, 4.1, 0])
    assert len(Stretches(apart, covering)) == 3
    spread = covering.model_copy(update={"chunks_per_song": 3})
    assert len(Stretches(covered([100]), spread)) == 3
    spectrograms = config.model_copy(update={"chunks_per_song": "all"})
    assert len(Stretches(index_of([3]), spectrograms)) == 3


@pytest.mark.parametrize("seed", range(6))
def test_sounding_crops_are_those_of_the_whole_song(covering, seed):
    rng = np.random.default_rng(seed)
    lengths = [int(rng.integers(CROP, 200)), 90]
    seconds = [rng.choice([-20.0, -79.0, -81.0, SILENT], 20, p=[0.1, 0.2, 0.3, 0.4]) for _ in lengths]
    levels = [np.repeat(of_song, 10)[:length] for of_song, length in zip(seconds, lengths, strict=True)]
    levels[0][:10] = -20.0
    index = covered(lengths, levels)
    stretches = Stretches(index, covering)
    activity = Activity(index, covering, stretches)
    drawn = {activity.crop(0, 0, share) for share in np.linspace(0, 1, 3000, endpoint=False)}
    # The seconds of a chunk count from its start: of the last one, which overlaps, they may lie between others.
    begins = [
        (start + second * 10, min(start + second * 10 + 10, start + int(index.length[chunk])))
        for chunk, start in enumerate(covering_starts(lengths[0], 40))
        for second, level in enumerate(index.levels(chunk)[1])
        if level >= -20 + SOUNDING_DB
    ]
    sounding = np.zeros(lengths[0], bool)
    for begin, end in begins:
        sounding[begin:end] = True
    edges = np.flatnonzero(np.diff(sounding, prepend=False, append=False))
    runs = list(zip(edges[::2], edges[1::2], strict=True))
    expected = {
        (0, first)
        for first in range(lengths[0] - CROP + 1)
        if any(min(end, first + CROP) - max(begin, first) >= min(10, end - begin) for begin, end in runs)
    }
    assert drawn == expected


@pytest.fixture(scope="module", params=["tfrecord", "parquet"])
def songs(request, config, tmp_path_factory):
    """Songs of other lengths, covered by chunks hardly longer than a segment, and their index."""
    keys = {"cache_content": "waveform", "cache_dtype": "int16", "chunks_per_song": "all", "chunk_duration_s": 1.1}
    covered = config.model_copy(update=keys | {"cache_format": request.param})
    folder, songs = (tmp_path_factory.mktemp(name) for name in ("cache", "songs"))
    rows = [
        write_noise_song(songs, config, name, duration_s=duration_s)
        for name, duration_s in (("a", 4.0), ("b", 1.09), ("c", 7.3))
    ]
    build_index(folder, [(row.name, shard_of(row, covered, folder, num_chunks="all")) for row in rows], covered)
    return rows, covered, read_index(folder, covered)


def recorded(row, config):
    files = (row.mixture, *(path for _, path in row.stems))
    return np.stack([read_waveform(f, sample_rate=config.sample_rate, num_channels=2) for f in files])


def test_examples_across_joints_are_the_songs_own_samples(songs):
    rows, config, index = songs
    waveforms, crops = [recorded(row, config) for row in rows], WaveformExamples(index, config)
    batches = training_batches(index, config)
    starts = np.rint(index.start_s * config.sample_rate).astype(int)
    crossing = 0
    for step in range(60):
        for place, (mixture, stems) in enumerate(zip(*next(batches), strict=True)):
            chunk, first = crops.crop(step, place)
            song = waveforms[index.shard[chunk]]
            at = starts[chunk] + first
            assert np.array_equal(np.stack([mixture, *stems]), song[:, at : at + config.segment_samples])
            crossing += first + config.segment_samples > index.length[chunk]
    assert crossing > 50
    batches.close()


def test_shifted_and_remixed_examples_across_joints_are_sums_of_their_stems(songs):
    _, config, index = songs
    augmentation = AugmentationConfig(remix=0.5, gain_db=6, polarity=True, time_shift_s=1.0, activity=0.5)
    batches = training_batches(index, config.model_copy(update={"augmentation": augmentation}))
    for _ in range(30):
        mixture, stems = next(batches)
        np.testing.assert_allclose(mixture, stems.sum(axis=1), atol=1e-6)
        assert (np.abs(stems).max(axis=(2, 3)) > 0).all()
    batches.close()


def test_validation_takes_the_middle_of_each_chunk(songs):
    rows, config, index = songs
    waveforms = [recorded(row, config) for row in rows]
    mixtures = np.concatenate([mixture for mixture, _ in validation_batches(index, config)])
    starts = np.rint(index.start_s * config.sample_rate).astype(int)
    for chunk, mixture in enumerate(mixtures):
        at = starts[chunk] + (int(index.length[chunk]) - config.segment_samples) // 2
        assert np.array_equal(mixture, waveforms[index.shard[chunk]][0, at : at + config.segment_samples])
