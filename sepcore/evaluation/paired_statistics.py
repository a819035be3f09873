"""Statistics of two models' scores of the same tracks: interval, test, number of tracks needed, missing scores."""

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Differences = NDArray[np.float64]

# Resampled differences in memory at once: 8 MB for any number of tracks.
_BLOCK = 1_000_000


def median_interval(
    differences: Differences, *, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Lower and upper end of the bootstrap confidence interval of the median: tracks drawn with replacement.

    By percentiles and not BCa, whose acceleration comes from leaving out one value at a time: that only moves a median
    between two neighbors, and is undefined if all differences are equal. Swapping the models (negating the differences)
    negates and swaps the ends.

    Args:
        differences: One per track, at least one, ``(tracks,)``; sort them, since the order decides the draws.
        confidence: Between 0 and 1. With fewer tracks than `tracks_needed` the interval goes from the least to the
            greatest difference, and holds the median less often than this.
        resamples: Number of draws, at least 1.
        seed: Of the draws.

    References:
        B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    _check(confidence, resamples)
    rng = np.random.default_rng(seed)
    num_tracks = len(differences)
    rows = max(1, _BLOCK // num_tracks)
    medians = [
        np.median(differences[rng.integers(0, num_tracks, (min(rows, resamples - done), num_tracks))], axis=1)
        for done in range(0, resamples, rows)
    ]
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(medians), [tail, 1 - tail])
    return float(low), float(high)


def signed_rank_p(differences: Differences) -> float:
    """Two-sided p of Wilcoxon's signed-rank test for differences ``(tracks,)``; 1 if no track differs.

    Tracks without a difference are left out, as Wilcoxon did. Exact up to 50 tracks (13 if two differences are equally
    large), otherwise the normal approximation.

    References:
        F. Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1945.
    """
    from scipy.stats import wilcoxon

    differing = differences[differences != 0]
    return float(wilcoxon(differing).pvalue) if differing.size else 1.0


def holm(p_values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Correct p values ``(tests,)`` so that all tests together err no more often than a single one would.

    References:
        S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statistics 1979.
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p_values[order] * factors))
    return corrected


def tracks_needed(confidence: float = 0.95) -> int:
    """The least number of tracks from which anything can be concluded with a confidence: 6 at 95 %.

    With n tracks the smallest p of a two-sided signed-rank (or sign) test is 2 / 2^n, if all differences have one sign;
    the widest interval, from the least to the greatest, misses the median just as often.
    """
    _check(confidence)
    # Rounded: 1 - 0.75 in binary must not ask for one track more.
    return max(1, math.ceil(round(1 - math.log2(1 - confidence), 9)))


def missing_scores(a: pd.DataFrame, b: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The tracks and stems for which B, which is judged, lacks the score of a frame that A has.

    A score is missing if B lacks the stem, track or frame, or it is NaN, as for a silent estimate. A perfect frame,
    which is infinite, is a score. Tables are as in `compare_scores`.

    Returns:
        A row for each such track and stem, in A's order: ``track``, ``target``; ``num_frames`` that A has scored, and
        ``num_missing`` of them in B.
    """
    at = ["track", "target", "time_ms"]
    scored, others = (
        frames.loc[frames[metric] > -np.inf, ["track", "target"]].assign(
            time_ms=(frames["time_s"] * 1000).round().astype(int)
        )
        for frames in (a, b)
    )
    found = scored.merge(others.drop_duplicates(), how="left", on=at, indicator="found")
    lacking = (found["found"] == "left_only").groupby([found["track"], found["target"]], sort=False)
    counts = lacking.agg(num_frames="size", num_missing="sum").reset_index()
    return counts.loc[counts["num_missing"] > 0, [*at[:2], "num_frames", "num_missing"]].reset_index(drop=True)


def _check(confidence: float, resamples: int = 1) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; expected a number between 0 and 1, such as 0.95.")
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}; expected at least 1, such as 10000.")
