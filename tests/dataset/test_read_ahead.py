"""What holds for batches of every content, however they are read ahead."""

import gc
import subprocess
import sys
import threading
import time
import tracemalloc
from itertools import islice

import numpy as np
import pytest

from sepcore.config.dataset import AugmentationConfig
from sepcore.dataset import batches as batches_module
from sepcore.dataset.batches import training_batches, validation_batches
from sepcore.dataset.cache.chunk_reader import ChunkReader
from sepcore.dataset.cache.index import read_index
from sepcore.errors import DatasetError
from tests.raised import raises

STORED = [("tfrecord", "uint8"), ("parquet", "float16"), ("tfrecord", "int16"), ("parquet", "int24")]
AUGMENTATION = {
    "spectrogram": {"gain_db": 6, "channel_swap": True, "remix": 0.5, "pitch_shift": 1, "time_stretch": 0.1},
    "waveform": {
        "gain_db": 6, "channel_swap": True, "remix": 0.5, "polarity": True, "time_shift_s": 0.2, "activity": 0.5
    },
}  # fmt: skip


@pytest.fixture(params=STORED, ids="-".join)
def stored(request, cache):
    """The config, everything varied, and the index of each kind of cache."""
    config, folder = cache(*request.param)
    augmentation = AugmentationConfig(**AUGMENTATION[config.cache_content])
    return config.model_copy(update={"augmentation": augmentation}), read_index(folder, config)


def threads_that_read():
    return [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]


def test_a_steps_batch_is_the_same_from_the_first_step_on_and_from_any_other(stored):
    config, index = stored
    whole = list(islice(training_batches(index, config), 12))
    assert not np.array_equal(whole[0][0], whole[1][0])
    for first in (1, 5, 11):
        np.testing.assert_equal(next(training_batches(index, config, first_step=first)), whole[first])


@pytest.mark.parametrize("cores", [1, 7])
def test_threads_do_not_change_the_batches(stored, cores, monkeypatch):
    config, index = stored
    expected = list(islice(training_batches(index, config), 10))
    monkeypatch.setattr(batches_module, "num_cores", lambda: cores)
    np.testing.assert_equal(list(islice(training_batches(index, config), 10)), expected)


def test_batches_that_were_given_are_not_written_to_again(stored):
    config, index = stored
    batches = training_batches(index, config)
    first = next(batches)
    kept = [part.copy() for part in first]
    list(islice(batches, 10))
    np.testing.assert_equal(list(first), kept)


def test_no_more_than_two_batches_and_an_example_are_read_ahead(stored, monkeypatch):
    config, index = stored
    read = []
    read_into = ChunkReader.read_into

    def noted(self, out, chunk, first, signals=slice(None)):
        read.append(chunk)
        read_into(self, out, chunk, first, signals)

    monkeypatch.setattr(ChunkReader, "read_into", noted)
    batches = validation_batches(index, config)  # three batches, the last one of one example
    assert not read
    next(batches)
    time.sleep(0.1)
    assert 4 <= len(read) <= 5
    batches.close()


def test_closing_ends_the_threads(stored):
    config, index = stored
    batches = training_batches(index, config)
    next(batches)
    assert threads_that_read()
    batches.close()
    assert not threads_that_read()
    with pytest.raises(StopIteration):
        next(batches)


def test_dropping_ends_the_threads(stored):
    config, index = stored
    next(training_batches(index, config))
    gc.collect()
    assert not threads_that_read()


def test_an_error_ends_the_threads_and_names_the_chunk(stored, tmp_path):
    config, index = stored
    moved = read_index(index.path, config)
    object.__setattr__(moved, "folder", tmp_path)
    batches = training_batches(moved, config)
    with raises(DatasetError, "chunk ", "missing", hint="--verify"):
        next(batches)
    assert not threads_that_read()
    with pytest.raises(StopIteration):
        next(batches)


def test_memory_stays_flat_over_many_batches(stored):
    config, index = stored
    batches = training_batches(index, config)
    tracemalloc.start()
    try:
        list(islice(batches, 60, 61))  # long enough for as much to be read ahead as ever will be
        early = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        list(islice(batches, 200, 201))
        late = tracemalloc.get_traced_memory()[1]
    finally:
        batches.close()  # first: Python 3.11 may crash if memory is allocated while it stops tracing
        tracemalloc.stop()
    assert late < 1.1 * early


def test_a_process_that_ends_in_the_middle_of_training_ends(cache):
    caches = [(config.to_json(), str(folder)) for config, folder in (cache(*stored) for stored in STORED)]
    script = f"""
import sys
from pathlib import Path
from sepcore.config.load import parse_config
from sepcore.dataset.batches import training_batches
from sepcore.dataset.cache.index import read_index
reading = []
for config, folder in {caches!r}:
    config = parse_config(config, "test")
    index = read_index(Path(folder), config)
    reading.append(training_batches(index, config))
    next(reading[-1])
sys.exit(4 if "tensorflow" in sys.modules else 3)
"""
    ended = subprocess.run([sys.executable, "-c", script], timeout=120, capture_output=True, check=False)
    assert ended.returncode == 3, ended.stderr
    assert not ended.stderr
