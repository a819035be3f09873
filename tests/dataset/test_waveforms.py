from itertools import islice, product

import numpy as np
import pytest
import scipy.io.wavfile
import tensorflow as tf

from sepcore.config.dataset import AugmentationConfig
from sepcore.dataset.batches import describe_batch, training_batches, validation_batches
from sepcore.dataset.cache.build_index import build_index
from sepcore.dataset.cache.chunk_reader import read_chunk
from sepcore.dataset.cache.index import read_index
from sepcore.dataset.waveforms import WaveformExamples
from sepcore.signal.audio_reader import read_waveform
from tests.dataset.cache.conftest import shard_of
from tests.dataset.conftest import index_of, write_noise_song

SAMPLES = 512 + 63 * 128
ALL = {"remix": 0.5, "gain_db": 6, "polarity": True, "channel_swap": True, "time_shift_s": 0.2, "activity": 0.5}


def varied(config, **augmentation):
    return config.model_copy(update={"augmentation": AugmentationConfig(**augmentation)})


@pytest.fixture(scope="module")
def waveforms(config):
    return config.model_copy(update={"cache_content": "waveform", "cache_dtype": "int16"})


@pytest.fixture(scope="module")
def cached(waveforms, tmp_path_factory):
    """Caches songs that were written."""

    def cache(rows, num_chunks=2):
        folder = tmp_path_factory.mktemp("cache")
        shards = [(row.name, shard_of(row, waveforms, folder, num_chunks=num_chunks)) for row in rows]
        build_index(folder, shards, waveforms)
        return read_index(folder, waveforms)

    return cache


@pytest.fixture(scope="module")
def songs(config, tmp_path_factory):
    """Four songs whose recorded mixtures are ten times too quiet, so that they can be told from sums of stems."""
    rows = [write_noise_song(tmp_path_factory.mktemp("songs"), config, name) for name in "abcd"]
    for row in rows:
        rate, mixture = scipy.io.wavfile.read(row.mixture)
        scipy.io.wavfile.write(row.mixture, rate, mixture // 10)
    return rows


@pytest.fixture(scope="module")
def index(cached, songs):
    """Eight chunks of four songs."""
    return cached(songs)


def examples(index, config, count):
    """``(mixture, stems)`` of the first examples."""
    batches = islice(training_batches(index, config), -(-count // config.batch_size))
    return tuple(np.concatenate(parts)[:count] for parts in zip(*batches, strict=True))


def drawn(index, config, count):
    """What was drawn for the first examples, each field as an array of all of them."""
    of_config = WaveformExamples(index, config)
    pairs = [of_config.example(*divmod(number, config.batch_size)) for number in range(count)]
    return {name: np.array(values) for name, values in zip(pairs[0]._fields, zip(*pairs, strict=True), strict=True)}


def levelled(num_chunks, seconds):
    """An index of 20 s chunks of three songs, their two stems sounding in these seconds only."""
    levels = np.full((num_chunks, 3, 20), -180.0)
    levels[:, :, seconds] = -20
    return index_of([num_chunks // 3] * 3, length=[160_000] * num_chunks, levels_db=levels.tolist())


def test_an_example_is_as_many_samples_as_its_frames_span(index, waveforms):
    mixture, stems = next(training_batches(index, waveforms))
    assert (mixture.dtype, mixture.shape) == (np.float32, (2, SAMPLES, 2))
    assert (stems.dtype, stems.shape) == (np.float32, (2, 2, SAMPLES, 2))


def test_without_augmentation_mixture_and_stems_are_as_they_were_recorded(index, waveforms, songs):
    mixture, stems = examples(index, waveforms, 6)
    files = {row.name: row.files for row in songs}
    for number in range(6):
        chunk, first = WaveformExamples(index, waveforms).crop(*divmod(number, waveforms.batch_size))
        row = index.row(chunk)
        start = round(row["start_s"] * 8000) + first
        for signal, path in zip([mixture[number], *stems[number]], files[row["song"]], strict=True):
            recorded = read_waveform(path, sample_rate=8000, num_channels=2)[start : start + SAMPLES]
            np.testing.assert_array_equal(signal, recorded)


@pytest.mark.parametrize("keys", [*product([False, True], repeat=len(ALL))])
def test_the_mixture_is_the_sum_of_what_was_drawn_and_else_the_recorded_one(index, waveforms, keys):
    config = varied(waveforms, **{key: ALL[key] for key, is_on in zip(ALL, keys, strict=True) if is_on})
    mixture, stems = examples(index, config, 12)
    varied_ones = drawn(index, config, 12)["varied"]
    for number, is_varied in enumerate(varied_ones):
        gain = 1 if is_varied else 0.1
        tolerance = 1e-6 if is_varied else 1.1 / 2**15  # that of the recordings' own rounding
        np.testing.assert_allclose(mixture[number], gain * stems[number].sum(axis=0, dtype=float), atol=tolerance)
    assert varied_ones.any() == any(is_on for key, is_on in zip(ALL, keys, strict=True) if key != "activity")


@pytest.mark.parametrize("augmentation", [ALL, {"remix": 1.0}, {"time_shift_s": 9.0}, {"channel_swap": True}])
def test_stems_are_what_was_drawn_of_their_chunks(index, waveforms, augmentation):
    config = varied(waveforms, **augmentation)
    _, stems = examples(index, config, 20)
    draws = drawn(index, config, 20)
    for number, stem in product(range(20), range(2)):
        chunk, first, factor, swapped = (
            draws[name][number, stem] for name in ("stretches", "firsts", "factors", "swapped")
        )
        recorded = read_chunk(index, int(chunk)).signals[1 + stem].waveform()[first : first + SAMPLES]
        np.testing.assert_array_equal(stems[number, stem], (recorded * factor)[:, :: -1 if swapped else 1])


def test_gains_and_signs_are_spread_over_all_stems_alike(waveforms):
    index = levelled(6, [3])
    factors = drawn(index, varied(waveforms, gain_db=6, polarity=True), 2000)["factors"]
    for stem in factors.T:
        gains_db = 20 * np.log10(abs(stem))
        assert np.abs(np.histogram(gains_db, 10, (-6, 6))[0] - 200).max() < 5 * 200**0.5
        assert abs((stem < 0).mean() - 0.5) < 0.06
    assert abs((factors.prod(axis=1) < 0).mean() - 0.5) < 0.06  # independent of each other


def test_channels_are_swapped_stem_by_stem(waveforms):
    swapped = drawn(levelled(6, [3]), varied(waveforms, channel_swap=True), 2000)["swapped"]
    assert np.abs(swapped.mean(axis=0) - 0.5).max() < 0.06
    assert abs((swapped[:, 0] ^ swapped[:, 1]).mean() - 0.5) < 0.06


def test_stems_are_shifted_against_the_kept_one_evenly_and_within_their_chunks(waveforms):
    index = levelled(6, [3])
    plain, last = drawn(index, waveforms, 4000)["firsts"], 160_000 - SAMPLES
    for time_shift_s in (0.5, 30.0):
        shifted = drawn(index, varied(waveforms, time_shift_s=time_shift_s), 4000)["firsts"]
        np.testing.assert_array_equal(shifted[:, 0], plain[:, 0])
        lows = np.maximum(plain[:, 1] - time_shift_s * 8000, 0)
        highs = np.minimum(plain[:, 1] + time_shift_s * 8000, last)
        shares = (shifted[:, 1] - lows) / (highs - lows)
        assert (shares.min(), shares.max()) >= (0, 0)
        assert shares.max() <= 1
        assert np.abs(np.histogram(shares, 8, (0, 1))[0] - 500).max() < 5 * 500**0.5


def test_neither_remixed_stems_nor_the_one_that_an_active_example_is_chosen_by_are_shifted(waveforms):
    levels = np.full((4, 3, 20), -180.0)
    levels[:, 1, 2] = levels[:, 2, 15] = -20
    index = index_of([1] * 4, length=[160_000] * 4, levels_db=levels.tolist())
    for remix in (0.0, 1.0):
        plain = drawn(index, varied(waveforms, remix=remix, activity=1.0), 200)
        shifted = drawn(index, varied(waveforms, remix=remix, activity=1.0, time_shift_s=9.0), 200)
        still = plain["firsts"] == shifted["firsts"]
        assert still.all() if remix else (still.sum(axis=1) == 1).all()


@pytest.mark.parametrize("remix", [0.0, 1.0])
def test_active_examples_sound_and_the_others_come_from_anywhere(waveforms, remix):
    index = levelled(6, [12])
    plain = drawn(index, varied(waveforms, remix=remix), 1000)
    active = drawn(index, varied(waveforms, remix=remix, activity=0.3), 1000)
    moved = active["firsts"] != plain["firsts"]
    assert abs(moved.any(axis=1).mean() - 0.3) < 0.06
    assert (moved.all(axis=1) == moved.any(axis=1)).mean() > 0.99  # all stems; now and then to where it was
    firsts = active["firsts"][moved]
    assert (firsts <= 12 * 8000).all()
    assert (firsts + SAMPLES >= 13 * 8000).all()


def test_each_stem_of_a_remix_sounds_where_another_one_does_not(waveforms):
    levels = np.full((4, 3, 20), -180.0)
    levels[:, 1, 2] = levels[:, 2, 15] = -20
    index = index_of([1] * 4, length=[160_000] * 4, levels_db=levels.tolist())
    firsts = drawn(index, varied(waveforms, remix=1.0, activity=1.0), 200)["firsts"]
    assert (abs(firsts - np.array([2, 15]) * 8000) <= SAMPLES).all()


def test_without_remix_a_crop_is_one_place_where_one_of_the_stems_sounds(waveforms):
    levels = np.full((4, 3, 20), -180.0)
    levels[:, 1, 2] = levels[:, 2, 15] = -20
    index = index_of([1] * 4, length=[160_000] * 4, levels_db=levels.tolist())
    draws = drawn(index, varied(waveforms, activity=1.0), 400)
    assert (draws["firsts"][:, 0] == draws["firsts"][:, 1]).all()
    assert not draws["varied"].any()
    assert abs((draws["firsts"][:, 0] < 8 * 8000).mean() - 0.5) < 0.1


@pytest.mark.parametrize(
    ("key", "fields"),
    {
        "gain_db": {"factors", "varied"},
        "polarity": {"factors", "varied"},
        "channel_swap": {"swapped", "varied"},
        "time_shift_s": {"firsts", "varied"},
        "activity": {"stretches", "firsts"},
        "remix": {"stretches", "firsts", "varied"},
    }.items(),
)
def test_an_augmentation_changes_nothing_but_its_own(waveforms, key, fields):
    index = levelled(6, [3])
    plain, alone, all_on = (drawn(index, varied(waveforms, **keys), 100) for keys in ({}, {key: ALL[key]}, ALL))
    for name in plain:
        assert np.array_equal(plain[name], alone[name]) == (name not in fields)
    if key == "channel_swap":
        np.testing.assert_array_equal(alone["swapped"], all_on["swapped"])
    if key in ("gain_db", "polarity"):  # the other one multiplies it
        agree = np.abs if key == "gain_db" else np.sign
        np.testing.assert_array_equal(agree(alone["factors"]), agree(all_on["factors"]))


def test_without_augmentation_crops_start_at_any_sample(waveforms):
    index = index_of([5], length=[SAMPLES + 9] * 5, levels_db=np.zeros((5, 3, 2)).tolist())
    assert set(drawn(index, waveforms, 1000)["firsts"].ravel().tolist()) == set(range(10))


def test_silence_gives_silence_and_no_nan(cached, config, waveforms, tmp_path):
    rows = [write_noise_song(tmp_path, config, name) for name in ("a", "b")]
    for row in rows:
        _, path = row.stems[0]
        rate, stem = scipy.io.wavfile.read(path)
        scipy.io.wavfile.write(path, rate, np.zeros_like(stem))
    index = cached(rows)
    mixture, stems = examples(index, varied(waveforms, **ALL), 20)
    assert not stems[:, 0].any()
    assert np.isfinite(mixture).all()
    assert np.isfinite(stems).all()


def test_validation_takes_the_middle_of_every_chunk_once_and_does_not_vary_it(index, waveforms):
    batches = list(validation_batches(index, varied(waveforms, **ALL)))
    mixture, stems = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    middle = (waveforms.chunk_samples - SAMPLES) // 2
    assert len(mixture) == len(index)
    for chunk in range(len(index)):
        signals = [signal.waveform()[middle : middle + SAMPLES] for signal in read_chunk(index, chunk).signals]
        np.testing.assert_array_equal([mixture[chunk], *stems[chunk]], signals)


def test_the_songs_and_offsets_that_are_named_are_those_of_the_batch(index, waveforms, songs):
    config = varied(waveforms, activity=1.0)
    mixtures, _ = next(training_batches(index, config, first_step=3))
    files = {row.name: row.mixture for row in songs}
    for place, mixture in zip(describe_batch(index, config, 3), mixtures, strict=True):
        song, _, offset = place.removesuffix(" s").rpartition(" at ")
        waveform = read_waveform(files[song], sample_rate=8000, num_channels=2)
        start = round(float(offset) * 8000)
        nearest = waveform[max(start - 400, 0) : start + 401, 0]
        assert any(
            np.array_equal(waveform[at : at + 50], mixture[:50]) for at in range(max(start - 401, 0), start + 402)
        )
        assert len(nearest)


def test_tensorflow_reads_the_records(index, waveforms):
    features = {
        "signals": tf.io.FixedLenFeature([3], tf.string),
        "codes": tf.io.FixedLenFeature([3], tf.string),
        "shape": tf.io.FixedLenFeature([2], tf.int64),
        "dtype": tf.io.FixedLenFeature([3], tf.string),
        "scale": tf.io.FixedLenFeature([3], tf.float32),
    }
    records = tf.data.TFRecordDataset(index.shard_paths).map(
        lambda record: tf.io.parse_single_example(record, features)
    )
    for chunk, example in enumerate(records):
        assert example["signals"].numpy().tolist() == [b"mixture", b"vocals", b"drums"]
        assert set(example["dtype"].numpy()) == {b"int16"}
        pcm = tf.reshape(tf.io.decode_raw(example["codes"], tf.int16), [3, *example["shape"]])
        waveform = tf.cast(pcm, tf.float32) * example["scale"][:, None, None] / 2**15
        np.testing.assert_array_equal(waveform, [signal.waveform() for signal in read_chunk(index, chunk).signals])
    assert chunk == len(index) - 1
