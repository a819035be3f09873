"""The cache of real songs, decoded back."""

from pathlib import Path

import numpy as np
import pytest

from sepcore import load_config
from sepcore.dataset.cache.build_index import build_index
from sepcore.dataset.cache.chunk_reader import read_chunk
from sepcore.dataset.cache.index import read_index
from sepcore.dataset.manifest import TrackRow
from sepcore.signal.audio_reader import probe_audio, read_waveform
from tests.dataset.cache.conftest import shard_of
from tests.dataset.cache.test_chunks import scipys_magnitude


def song(folder: Path) -> TrackRow:
    stems = tuple((name, folder / f"{name}.mp3") for name in ("vocals", "accompaniment"))
    return TrackRow(folder.name, folder / "mixture.mp3", stems, probe_audio(folder / "mixture.mp3").duration_s)


@pytest.mark.shared
@pytest.mark.slow
def test_magnitudes_decoded_back_are_within_0_4_db_over_the_range_of_100_db(shared, tmp_path):
    config = load_config("2stems")
    for folder in sorted(path for path in (shared / "clips").iterdir() if path.is_dir()):
        row = song(folder)
        build_index(tmp_path, [(row.name, shard_of(row, config, tmp_path, num_chunks=2))], config)
        waveforms = [read_waveform(path, sample_rate=44100, num_channels=2) for path in row.files]
        index = read_index(tmp_path, config)
        for chunk in (read_chunk(index, number) for number in range(len(index))):
            first = round(chunk.start_s * config.sample_rate)
            for signal, waveform in zip(chunk.signals, waveforms, strict=True):
                recomputed = scipys_magnitude(waveform[first : first + config.chunk_samples], config)
                in_range = recomputed >= recomputed.max() * 1e-5
                assert in_range.mean() > 0.5
                error_db = 20 * np.log10(signal.magnitude()[in_range] / recomputed[in_range])
                assert np.abs(error_db).max() < 0.4
