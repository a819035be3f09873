"""Which scores one evaluation has and another has not: no better than the worst, whatever the reason."""

import numpy as np
import pandas as pd

COLUMNS = ("track", "target", "num_frames", "num_missing")


def missing_scores(a: pd.DataFrame, b: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The tracks and stems of which B lacks a frame that A has a score of.

    Lacking is a stem or a track that is not there, a frame that is not, and one without a score (NaN, as of a silent
    estimate). A perfect frame, which is infinite, is a score.

    Args:
        a: Frames: columns ``track``, ``target``, ``time_s`` and the metric.
        b: Frames of the one that is judged.
        metric: A column of both.

    Returns:
        A row a track and stem, in A's order, with the columns `COLUMNS`: how many frames of A have a score, and of how
        many of these B has none.
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
    return counts.loc[counts["num_missing"] > 0, list(COLUMNS)].reset_index(drop=True)
