"""One row for each track and stem: what the frames of a track come to."""

import numpy as np
import pandas as pd

from sepcore.evaluation.bsseval.global_scores import GLOBAL_METRICS
from sepcore.evaluation.track_scores import METRICS, MIXTURE_SDR, TrackScores

COLUMNS = ("track", "target", *METRICS, MIXTURE_SDR, *GLOBAL_METRICS.values(), "num_frames", "num_nan_frames")


def track_table(scores: TrackScores) -> pd.DataFrame:
    """Scores of tracks by stem, with the columns `COLUMNS`, in the order of ``scores.totals``.

    Args:
        scores: Of one track or of many.

    Returns:
        In dB: the medians of museval's metrics and of the untouched mixture's SDR over a track's frames, those without
        a score and, as in museval, perfect ones left out; infinite where all that have a score are perfect; and the
        scores of the whole track. NaN where there is none. ``num_frames`` counts the frames
        of the stem, ``num_nan_frames`` those of them that have no SDR.
    """
    by_stem = scores.frames.groupby(["track", "target"], sort=False)
    columns = [*METRICS, MIXTURE_SDR]
    finite = scores.frames.assign(**scores.frames[columns].replace(np.inf, np.nan))
    medians = finite.groupby(["track", "target"], sort=False)[columns].median()
    medians = medians.mask(medians.isna() & (by_stem[columns].max() == np.inf), np.inf)
    counts = by_stem["SDR"].agg(num_frames="size", num_nan_frames=lambda sdr: int(sdr.isna().sum()))
    totals = scores.totals.set_index(["track", "target"])
    return totals.join(medians).join(counts).reset_index()[list(COLUMNS)]
