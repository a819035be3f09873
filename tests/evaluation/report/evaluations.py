"""Made-up evaluations: tables of seeded scores, and excerpts of tones."""

import numpy as np
import pandas as pd

from sepcore.evaluation.bsseval.sdr import GLOBAL_METRICS
from sepcore.evaluation.excerpt import write_excerpt
from sepcore.evaluation.report.evaluation_report import EvaluationReport
from tests.models import small_config

STEMS = ("vocals", "drums", "bass", "other")
METRICS = ("SDR", "ISR", "SIR", "SAR")


def frames_table(tracks, *, stems=STEMS, level_db=5.0, num_frames=6, seed=0):
    """Frames of each track and stem around a level that is the track's own."""
    rng = np.random.default_rng(seed)
    rows = []
    for track in tracks:
        for stem in stems:
            level = level_db + rng.normal(0, 2)
            for second in range(num_frames):
                scores = level + np.array([0.0, 4.0, 7.0, 1.0]) + rng.normal(0, 1, 4)
                rows.append((track, stem, float(second), *scores, level - 9))
    return pd.DataFrame(rows, columns=["track", "target", "time_s", *METRICS, "mixture_SDR"])


def tracks_table(frames):
    """The medians that an evaluation makes of its frames."""
    by_track = frames.groupby(["track", "target"], sort=False)
    tracks = by_track[[*METRICS, "mixture_SDR"]].median()
    for number, metric in enumerate(GLOBAL_METRICS.values()):
        tracks[metric] = tracks["SDR"] + 0.5 - number
    tracks["num_frames"] = by_track["SDR"].size()
    tracks["num_nan_frames"] = by_track["SDR"].apply(lambda sdr: int(sdr.isna().sum()))
    return tracks.reset_index()


def evaluation(names=("One", "Two", "Three"), *, stems=STEMS, frames=None, **changes):
    """An evaluation with both baselines and without excerpts."""
    frames = frames_table(names, stems=stems) if frames is None else frames
    baselines = {
        name: tracks_table(frames_table(names, stems=stems, level_db=level, seed=1))
        for name, level in (("mixture", -5.0), ("irm", 9.0))
    }
    content = {
        "model": "my model",
        "dataset": "my songs",
        "is_musdb18_test": False,
        "instruments": tuple(stems),
        "frames": frames,
        "tracks": tracks_table(frames),
        "baselines": baselines,
        "engine": "museval 0.4.1",
    }
    return EvaluationReport(**{**content, **changes})


def tone_excerpt(folder, track="One", *, stems=("vocals", "bass"), seconds=20.0, start_s=42.0):
    """Stems of one tone each, with a little of the others in the estimates."""
    config = small_config()
    time_s = np.arange(round(seconds * config.sample_rate)) / config.sample_rate
    tones = [0.2 * np.sin(2 * np.pi * 500 * (number + 1) * time_s) for number in range(len(stems))]
    references = {
        stem: np.repeat(wave[:, None], 2, axis=1).astype(np.float32) for stem, wave in zip(stems, tones, strict=True)
    }
    mixture = np.sum(list(references.values()), axis=0, dtype=np.float32)
    estimates = {stem: 0.9 * wave + 0.1 * mixture for stem, wave in references.items()}
    return write_excerpt(
        folder,
        track=track,
        start_s=start_s,
        mixture=mixture,
        references=references,
        estimates=estimates,
        config=config,
    )
