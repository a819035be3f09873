"""Medians over tracks, of which a report is made. What is not a finite number counts for nothing."""

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd


def stem_scores(tracks: "pd.DataFrame", stem: str, metric: str = "SDR") -> NDArray[np.float64]:
    """The tracks' scores of a stem: those that are finite numbers, in dB, in the table's order; perhaps none."""
    scores = tracks.loc[tracks["target"] == stem, metric].to_numpy(np.float64)
    finite: NDArray[np.float64] = scores[np.isfinite(scores)]
    return finite


def stem_median(tracks: "pd.DataFrame", stem: str, metric: str = "SDR") -> float:
    """Median of a stem over the tracks, in dB; NaN where no track has a score."""
    scores = stem_scores(tracks, stem, metric)
    return float(np.median(scores)) if len(scores) else float("nan")


def stem_mean(tracks: "pd.DataFrame", stem: str, metric: str) -> float:
    """Mean of a stem over the tracks, in dB; NaN where no track has a score."""
    return finite_mean(stem_scores(tracks, stem, metric))


def finite_mean(scores: Iterable[float]) -> float:
    """Mean of the finite ones; NaN where none is."""
    finite = [score for score in scores if np.isfinite(score)]
    return float(np.mean(finite)) if finite else float("nan")


def track_scores(tracks: "pd.DataFrame") -> Mapping[str, Mapping[str, float]]:
    """The median SDR of each stem of each track, in dB, as the table has it."""
    scores: dict[str, dict[str, float]] = {}
    for track, stem, sdr in zip(tracks["track"], tracks["target"], tracks["SDR"], strict=True):
        scores.setdefault(str(track), {})[str(stem)] = float(sdr)
    return scores


def decibels(score: float) -> str:
    """A score as the report writes it: two decimals with a true minus; a dash for what is no number."""
    return f"{round(score, 2) + 0.0:.2f}".replace("-", "−") if math.isfinite(score) else "–"
