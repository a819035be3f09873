"""BSSEval's scores: the project's own engine beside museval, in turn, on the same noise."""

import json
import os
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.bench.measured import run_measured
from tests.repository import ROOT

SPEED = Path(__file__).with_name("evaluation_speed.py")
MEMORY = Path(__file__).with_name("evaluation_memory.py")
METRICS = ("SDR", "ISR", "SIR", "SAR")
# On broadband stems; on band-limited music museval does not agree with itself.
TOLERANCES_DB = (1e-6, 1e-3, 1e-3, 1e-3)


@dataclass(frozen=True)
class Size:
    """Of the noise, and how often each engine scores it."""

    seconds: float
    stems: int
    channels: int
    rate: int
    ours: int
    musevals: int

    def __str__(self) -> str:
        return f"{self.seconds:g} s of {self.stems} stems, {self.channels} channels, {self.rate} Hz"


SMALL = [Size(3, 2, 1, 8000, ours=3, musevals=1)]
FULL = [Size(30, 4, 2, 44100, ours=5, musevals=2), Size(240, 4, 2, 44100, ours=3, musevals=1)]


@pytest.mark.slow
def test_memory_of_a_track_scored_from_files(full_size, tmp_path, capsys):
    """Of the whole process, interpreter and packages included; the stems alone are twice 1.7 GB as museval has them."""
    seconds, stems = (600, 4) if full_size else (10, 2)
    _run(MEMORY, "make", seconds, stems, 44100, tmp_path)
    scoring, process = _run(MEMORY, "score", stems, tmp_path)
    with capsys.disabled():
        sys.stdout.write(
            f"\nscoring {seconds} s of {stems} stereo stems from files: {scoring['elapsed_s']:.1f} s, peak memory in "
            f"all {process.largest_mb:.0f} MB\n"
        )
    assert (tmp_path / "scores" / "test" / "track.json").is_file()
    assert process.largest_mb < 1500


@pytest.mark.slow
def test_evaluation_beside_museval(full_size, tmp_path, capsys):
    for number, size in enumerate(FULL if full_size else SMALL):
        folder = tmp_path / f"noise {number}"
        folder.mkdir()
        _run(SPEED, "make", size.seconds, size.stems, size.channels, size.rate, folder)
        ours, _ = _run(SPEED, "score", "fast", size.ours, size.rate, folder)
        theirs, _ = _run(SPEED, "score", "museval", size.musevals, size.rate, folder)
        scores, expected = np.load(folder / "fast.npy"), np.load(folder / "museval.npy")
        assert np.isfinite(expected).all()
        largest = np.abs(scores - expected).max(axis=(1, 2))
        ours_s, theirs_s = (statistics.median(measures["elapsed_s"]) for measures in (ours, theirs))
        differences = ", ".join(f"{metric} {value:.1e}" for metric, value in zip(METRICS, largest, strict=True))
        with capsys.disabled():
            sys.stdout.write(
                f"\nevaluation of {size}: ours {ours_s:.3f} s, museval {theirs_s:.2f} s, ratio "
                f"{theirs_s / ours_s:.1f}; peak memory beyond inputs of {ours['inputs_mb']:.0f} MB: "
                f"{ours['beyond_mb']:.0f} and {theirs['beyond_mb']:.0f} MB; largest difference of a frame in dB: "
                f"{differences}\n"
            )
        assert (largest < TOLERANCES_DB).all(), differences


def _run(script, *arguments):
    """What a process of the script says, and what is measured of it."""
    measures = run_measured(sys.executable, script, *arguments, env=os.environ | {"PYTHONPATH": str(ROOT)})
    return json.loads(measures.said) if measures.said else None, measures
