"""Which tracks of an evaluation can be heard in its report, and what part of them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from sepcore.dataset.manifest import TrackRow
from sepcore.evaluation.estimates import Estimates
from sepcore.evaluation.report.excerpt import Excerpt, read_excerpt, write_excerpt
from sepcore.evaluation.track_evaluation import estimated_track, track_made_from
from sepcore.system.atomic import write_text
from sepcore.training.run_folder import MADE_FROM

EXCERPT_S = 15.0


def tracks_to_hear(tracks: pd.DataFrame, number: int) -> list[str]:
    """The worst track, the best, and others evenly between them, by the mean of their stems' SDR; worst first.

    Args:
        tracks: With the columns `track_scores.TRACK_COLUMNS`.
        number: How many; fewer if there are fewer with a score.
    """
    ranked = tracks.groupby("track", sort=False)["SDR"].mean().dropna().sort_values(kind="stable").index
    places = np.linspace(0, len(ranked) - 1, min(number, len(ranked))).round().astype(int)
    return [str(ranked[place]) for place in places]


def excerpt_start_s(frames: pd.DataFrame) -> float:
    """Where the 15 s of a track start that have the most scores; of several, those nearest to its middle.

    Args:
        frames: Of one track, with the columns `track_scores.COLUMNS`.
    """
    scored = frames.groupby("time_s")["SDR"].count()
    times = scored.index.to_numpy(float)
    last = max(times[-1] - EXCERPT_S + 1, 0.0) if len(times) else 0.0
    starts = times[times <= last]
    if not starts.size:
        return 0.0
    within = (times >= starts[:, None]) & (times < starts[:, None] + EXCERPT_S)
    order = np.lexsort((np.abs(starts - last / 2), -(within * scored.to_numpy()).sum(axis=1)))
    return float(starts[order[0]])


def excerpt_of_track(row: TrackRow, estimates: Estimates, folder: Path, start_s: float) -> Excerpt:
    """Estimate a track once more and keep `EXCERPT_S` of it, unless the same excerpt is there already.

    Args:
        row: The track.
        estimates: Whose estimates.
        folder: Of the evaluation; the excerpt is in ``excerpts/<track>``.
        start_s: Where it starts, in seconds.

    Raises:
        AudioDecodeError: a recording that cannot be read.
        DatasetError: stems that do not fit each other.
        AudioEncodeError: the excerpt cannot be written.
    """
    place, config = folder / "excerpts" / row.name, estimates.config
    marker = folder / MADE_FROM / "excerpts" / f"{row.name}.json"
    pictured = {"start_s": start_s, "stft": [config.frame_length, config.hop_length]}
    made_from = json.dumps(track_made_from(row, estimates) | pictured)
    if place.is_dir() and marker.is_file() and marker.read_text("utf-8") == made_from:
        return read_excerpt(place)
    with estimated_track(row, estimates, folder) as track:
        start = round(start_s * config.sample_rate)
        stop = min(start + round(EXCERPT_S * config.sample_rate), track.mixture.shape[1])
        mixture, *stems = (
            np.asarray(signals.read(start, stop), np.float32)
            for signals in (track.mixture, track.references, track.estimates)
        )
    references, estimated = (dict(zip(config.instruments, part, strict=True)) for part in stems)
    marker.unlink(missing_ok=True)  # killed from here on, nobody takes the excerpt for that of the old estimates
    excerpt = write_excerpt(
        place,
        track=row.name,
        start_s=start_s,
        mixture=mixture[0],
        references=references,
        estimates=estimated,
        config=config,
    )
    write_text(marker, made_from)
    return excerpt
