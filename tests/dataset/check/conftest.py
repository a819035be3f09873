"""Songs written sample by sample, for measures that are known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sepcore.dataset.manifest import TrackRow

RATE = 8000
# (signal, samples) → row; samples may be a path of a file that is there
MakeSong = Callable[..., TrackRow]


def noise(seed: int | list[int], *, seconds: float = 2.0, level: float = 0.1, channels: int = 2) -> np.ndarray:
    """Noise whose values 16 bits hold exactly."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(-level, level, (round(seconds * RATE), channels))
    return (np.round(values * 2**15) / 2**15).astype(np.float32)


@pytest.fixture
def make_song(tmp_path: Path) -> MakeSong:
    """``make_song(mix, vocals, drums)`` writes three wav files of floats and gives their row."""

    def make(
        mix: np.ndarray,
        vocals: np.ndarray,
        drums: np.ndarray,
        *,
        name: str = "song",
        duration_s: float | None = None,
        rates: tuple[int, int, int] = (RATE, RATE, RATE),
    ) -> TrackRow:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        paths = [folder / f"{signal}.wav" for signal in ("mix", "vocals", "drums")]
        for path, samples, rate in zip(paths, (mix, vocals, drums), rates, strict=True):
            soundfile.write(path, samples, rate, subtype="FLOAT")
        length_s = duration_s or len(mix) / rates[0]
        return TrackRow(name, paths[0], (("vocals", paths[1]), ("drums", paths[2])), length_s)

    return make
