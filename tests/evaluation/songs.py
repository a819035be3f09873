"""Songs of seeded noise on disk, as rows of a manifest."""

import numpy as np

from sepcore.dataset.manifest import TrackRow
from sepcore.signal.audio_writer import write_audio

RATE = 8000


def write_song(folder, name, *, stems, seed=0, length=3 * RATE, mixture_length=None):
    """A song of 32-bit files: one of noise for each of ``stems``, and their sum."""
    rng = np.random.default_rng(seed)
    waveforms = {stem: rng.uniform(-0.4, 0.4, (length, 2)).astype(np.float32) for stem in stems}
    return write_row(folder, name, waveforms, mixture_length=mixture_length)


def write_row(folder, name, waveforms, *, mixture_length=None):
    """A song of the given stems."""
    mixture = sum(waveforms.values())[:mixture_length]
    for stem, waveform in {**waveforms, "mixture": mixture}.items():
        write_audio(folder / name / f"{stem}.wav", waveform, sample_rate=RATE, bits=32)
    files = tuple((stem, folder / name / f"{stem}.wav") for stem in waveforms)
    return TrackRow(name, folder / name / "mixture.wav", files, len(mixture) / RATE)
