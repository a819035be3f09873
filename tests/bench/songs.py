"""Made-up songs with their CSV, for the benchmarks."""

import csv
from pathlib import Path

import numpy as np
import soundfile

from sepcore.dataset.synthetic.dataset import generate_song

RATE = 44100
# Songs that are composed; further ones are these at other levels, which costs a hundredth.
_COMPOSED = 4


def write_songs(
    csv_path: Path, num_songs: int, *, duration_s: float, instruments: tuple[str, ...], first_seed: int = 0
) -> None:
    """Write a manifest and, in folders beside it, songs as 16-bit stereo wav at 44.1 kHz, no two of them alike.

    Args:
        csv_path: The CSV; the folder has its name.
        num_songs: How many.
        duration_s: Length of each.
        instruments: ``vocals``, ``drums``, ``bass`` and ``other``, or ``vocals`` and ``accompaniment``.
        first_seed: Of the songs composed.
    """
    names = ("mix", *instruments)
    csv_path.parent.mkdir(parents=True, exist_ok=True)
    with csv_path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"{name}_path" for name in names), "duration"])
        composed = [_signals(first_seed + seed, duration_s, names) for seed in range(min(num_songs, _COMPOSED))]
        for number in range(num_songs):
            folder = csv_path.with_suffix("") / f"song {number}"
            folder.mkdir(parents=True)
            gain = np.float32(1 - number / (2 * num_songs))
            for name, signal in composed[number % _COMPOSED].items():
                soundfile.write(folder / f"{name}.wav", signal * gain, RATE, "PCM_16")
            paths = [(folder / f"{name}.wav").relative_to(csv_path.parent).as_posix() for name in names]
            writer.writerow([*paths, f"{duration_s:.3f}"])


def _signals(seed: int, duration_s: float, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    stems = generate_song(seed, duration_s=duration_s, sample_rate=RATE)
    signals = {"mix": sum(stems.values()), **stems}
    signals["other"] = stems["other"] + stems["piano"]
    signals["accompaniment"] = signals["mix"] - stems["vocals"]
    return {name: signals[name] for name in names}
