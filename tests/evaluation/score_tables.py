"""Made-up tables of frames: every metric of a frame is its SDR plus 1, 2, 3."""

import numpy as np
import pandas as pd

from sepcore.evaluation.bsseval.sdr import GLOBAL_METRICS
from sepcore.evaluation.track_scores import COLUMNS, TOTAL_COLUMNS, TrackScores

TRACKS = 20


def table(scores, *, mixture=-5.0):
    """A table of ``{(track, target): SDRs of its frames}``."""
    return pd.DataFrame(
        [
            (track, target, float(frame), sdr, sdr + 1, sdr + 2, sdr + 3, mixture)
            for (track, target), frames in scores.items()
            for frame, sdr in enumerate(frames)
        ],
        columns=list(COLUMNS),
    )


def model(seed=0, *, tracks=TRACKS, stems=("vocals", "drums"), **gains_db):
    """A table of a model on made-up songs, three frames each; models differ by 0.1 dB a track and by their gains."""
    songs, own = np.random.default_rng(0), np.random.default_rng(seed)
    return table(
        {
            (f"Song {track:02d}", stem): songs.normal(6, 2)
            + gains_db.get(stem, 0.0)
            + own.normal(0, 0.1)
            + np.array([-1, 0, 2])
            for track in range(tracks)
            for stem in stems
        }
    )


def scores_of(frames):
    """The frames with scores of whole tracks: those of the first frame, plus 10, 20 and so on."""
    first = frames.groupby(["track", "target"], sort=False, as_index=False).first()
    totals = first.assign(
        **{metric: first["SDR"] + 10 * number for number, metric in enumerate(GLOBAL_METRICS.values(), 1)}
    )
    return TrackScores(frames, totals[list(TOTAL_COLUMNS)])
