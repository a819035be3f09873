import numpy as np

from sepcore.dataset.batches import training_batches, with_chunk_named
from sepcore.dataset.cache.index import build_index, read_index
from sepcore.dataset.describe_batch import describe_batch
from sepcore.signal.audio_reader import read_waveform
from sepcore.signal.spectrogram import magnitude_spectrogram
from tests.dataset.cache.conftest import shard_of
from tests.dataset.conftest import write_noise_song


def test_the_songs_and_offsets_that_are_named_are_those_of_the_batch(config, tmp_path):
    rows = {name: write_noise_song(tmp_path / "songs", config, name) for name in ("Ana - Uno", "Bo - Due")}
    shards = [(name, shard_of(row, config, tmp_path / "cache", num_chunks=2)) for name, row in rows.items()]
    build_index(tmp_path / "cache", shards, config)
    index = read_index(tmp_path / "cache", config)
    step = 3
    mixtures = next(iter(with_chunk_named(training_batches(index, config, first_step=step), index)))[0].numpy()

    places = describe_batch(index, config, step)

    assert len(places) == len(mixtures) == config.batch_size
    for place, mixture in zip(places, mixtures, strict=True):
        song, _, offset = place.removesuffix(" s").rpartition(" at ")
        waveform = read_waveform(rows[song].mixture, sample_rate=config.sample_rate, num_channels=2)
        # The offset has a digit behind the point: the segment starts within half of that.
        nearest = range(round((float(offset) - 0.05) * 8000), round((float(offset) + 0.05) * 8000) + 1)
        errors = []
        for start in nearest:
            part = waveform[start : start + 512 + 63 * 128]
            if len(part) == 512 + 63 * 128:
                found = magnitude_spectrogram(part, frame_length=512, hop_length=128, num_bins=config.num_bins)
                errors.append(np.abs(found - mixture).mean() / mixture.mean())
        assert min(errors) < 0.05  # the codes' rounding; another place of noise would be about 0.5 off
