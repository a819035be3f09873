"""What a report is made from, and published results on MUSDB18's test set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from sepcore.evaluation.excerpt import Excerpt

_BASELINE_LABELS = {"mixture": "untouched mixture", "irm": "ideal ratio mask (oracle)"}
NOT_COMPARABLE = "not MUSDB18's test set: the published numbers are not comparable"
_NUM_TRACKS = 50
# The 50 songs last 3 h 27 min; only whole seconds are scored.
_SECONDS = range(12_200, 12_600)


def is_musdb18_test(tracks: pd.DataFrame) -> bool:
    """Whether tracks, as in `EvaluationReport`, are MUSDB18's (or MUSDB18-HQ's) test set, by number and length."""
    seconds = tracks.groupby("track")["num_frames"].max()
    return len(seconds) == _NUM_TRACKS and int(seconds.sum()) in _SECONDS


@dataclass(frozen=True, eq=False)
class EvaluationReport:
    """The evaluation of one model on one test set. All scores are in dB; any of them may be NaN.

    Attributes:
        model: The model's name, any text.
        dataset: Name of the test set, any text.
        is_musdb18_test: Whether that is MUSDB18's test set, as in the published results.
        instruments: The stems, at least one, in the model's order.
        frames: A row per track, stem and frame, with the columns `track_scores.COLUMNS`.
        tracks: A row per track and stem, with the columns `track_scores.TRACK_COLUMNS`.
        engine: How the scores were computed, in words.
        baselines: Tables like ``tracks`` of what was scored on the same test set to compare with, by name.
        excerpts: The tracks to hear.
        failed: Why tracks have no score, by track.
    """

    model: str
    dataset: str
    is_musdb18_test: bool
    instruments: tuple[str, ...]
    frames: pd.DataFrame
    tracks: pd.DataFrame
    engine: str
    baselines: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    excerpts: Sequence[Excerpt] = ()
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def comparable_baselines(self) -> dict[str, pd.DataFrame]:
        """The baselines by the names that readers know, on the tracks for which the model has scores."""
        scored = self.tracks["track"]
        return {
            _BASELINE_LABELS.get(name, name): table[table["track"].isin(scored)]
            for name, table in self.baselines.items()
        }


@dataclass(frozen=True)
class PublishedModel:
    """A published result: SDR of BSSEval v4 (museval) by stem in dB on the 50 test tracks of MUSDB18.

    It is the median over the tracks of the medians over their frames; ``training`` is what the model was trained on.
    """

    name: str
    training: str
    sdr: Mapping[str, float]
    source: str


def _by_stem(vocals: float, drums: float, bass: float, other: float) -> dict[str, float]:
    return {"vocals": vocals, "drums": drums, "bass": bass, "other": other}


_SPLEETER = (
    "R. Hennequin, A. Khlif, F. Voituret and M. Moussallam, “Spleeter: a fast and efficient music source separation "
    "tool with pre-trained models”, Journal of Open Source Software 5(50), 2154, 2020"
)

PUBLISHED = (
    PublishedModel("Spleeter 4stems, masks", "Deezer's own songs", _by_stem(6.55, 5.93, 5.10, 4.24), _SPLEETER),
    PublishedModel("Spleeter 4stems, MWF", "Deezer's own songs", _by_stem(6.86, 6.71, 5.51, 4.55), _SPLEETER),
    PublishedModel(
        "Spleeter's network, re-run",
        "MUSDB18",
        _by_stem(4.67, 4.50, 3.89, 3.18),
        "an independent training of Spleeter's network, reported in issue 670 of the project deezer/spleeter",
    ),
    PublishedModel(
        "Open-Unmix (UMX)",
        "MUSDB18",
        _by_stem(6.32, 5.73, 5.23, 4.02),
        "F.-R. Stöter, S. Uhlich, A. Liutkus and Y. Mitsufuji, “Open-Unmix – A Reference Implementation for Music "
        "Source Separation”, Journal of Open Source Software 4(41), 1667, 2019",
    ),
    PublishedModel(
        "Demucs v1",
        "MUSDB18",
        _by_stem(7.05, 7.08, 6.70, 4.47),
        "A. Défossez, N. Usunier, L. Bottou and F. Bach, “Music Source Separation in the Waveform Domain”, "
        "arXiv 1911.13254, 2019; the numbers as Spleeter's paper reports them",
    ),
)
