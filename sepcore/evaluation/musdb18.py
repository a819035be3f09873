"""Whether a test set is the one on which the field's numbers stand."""

import pandas as pd

_NUM_TRACKS = 50
# The 50 songs last 3 h 27 min; whole seconds of each are scored.
_SECONDS = range(12_200, 12_600)


def is_musdb18_test(tracks: pd.DataFrame) -> bool:
    """Whether scored tracks are MUSDB18's (or MUSDB18-HQ's) test set, by their number and how long they last.

    Args:
        tracks: With the columns `track_table.COLUMNS`; its frames are taken for seconds.
    """
    seconds = tracks.groupby("track")["num_frames"].max()
    return len(seconds) == _NUM_TRACKS and int(seconds.sum()) in _SECONDS
