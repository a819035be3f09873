"""Two models on the same tracks: is the second worse, in which stems, and on which songs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sepcore.errors import DatasetError
from sepcore.evaluation.paired_statistics import holm, median_interval, missing_scores, signed_rank_p, tracks_needed
from sepcore.evaluation.track_scores import MIXTURE_SDR
from sepcore.system.printable import first_few

# museval's files keep five decimals of a dB: smaller differences come from rounding.
_DECIMALS = 5
# The untouched mixture of the same recording scores the same, whoever scored it.
_SAME_MIXTURE_DB = 0.01
_SHOWN_NAMES = 3
_KEYS = ["target", "track"]


@dataclass(frozen=True, eq=False)
class Comparison:
    """B compared with A on the tracks that both have scored.

    Attributes:
        metric: What was compared, in dB; more is better.
        confidence: Of the intervals.
        stems: A row per stem, in B's order: ``target``; ``num_tracks``; ``a`` and ``b``, medians over the tracks of
            their medians over frames; ``difference_of_medians``, b − a; of the tracks' own differences
            ``median_difference`` with its bootstrap interval ``low`` to ``high``, and ``mean_difference``;
            ``num_better`` and ``num_worse`` tracks; ``p`` of Wilcoxon's signed-rank test, and ``p_holm``, corrected
            for the number of stems.
        tracks: A row per track and stem, greatest loss first: ``track``, ``target``, ``a``, ``b``, ``difference``.
        missing: A row per track and stem for which B lacks scores that A has; see `missing_scores`.
        notes: Lines for the user: what was left out, and what makes the comparison doubtful.
    """

    metric: str
    confidence: float
    stems: pd.DataFrame
    tracks: pd.DataFrame
    missing: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def lacking_stems(self) -> tuple[str, ...]:
        """The stems for which B lacks a score that A has: in B's order, then stems that B lacks entirely."""
        lacking = list(self.missing["target"].unique())
        return tuple(sorted(lacking, key=[*self.stems["target"], *lacking].index))

    def worse_stems(
        self, margin_db: float = 0.0, *, strict: bool = False, allow_missing: bool = False
    ) -> tuple[str, ...]:
        """The stems in which B is worse than A by more than a margin, or lacks a score that A has.

        A stem is worse if the whole interval of its median difference lies below ``-margin_db``. The median alone would
        refuse half of all equally good models, since no two training runs score the same; asking for an interval wholly
        above would refuse nearly all. At 95 %, one in forty equally good models is refused per stem. With fewer tracks
        than an interval needs (`tracks_needed`) nothing could ever be refused: then, and with ``strict``, the median
        difference alone decides.

        Args:
            margin_db: An accepted loss in dB, at least 0; ValueError for another.
            strict: Let the median difference alone decide everywhere.
            allow_missing: Ignore missing scores.
        """
        if not margin_db >= 0:
            raise ValueError(f"margin_db is {margin_db}; expected an accepted loss in dB, at least 0.")
        stems = self.stems
        alone = strict | (stems["num_tracks"] < tracks_needed(self.confidence))
        deciding = stems["high"].where(~alone, stems["median_difference"])
        worse = list(stems.loc[deciding < -margin_db, "target"])
        lacking = () if allow_missing else self.lacking_stems
        return tuple(name for name in dict.fromkeys([*stems["target"], *lacking]) if name in worse or name in lacking)

    def content(self) -> dict[str, Any]:
        """The content of the JSON file."""
        tables = {"stems": self.stems, "tracks": self.tracks, "missing": self.missing}
        rows = {name: table.to_dict("records") for name, table in tables.items()}
        return {"metric": self.metric, "confidence": self.confidence, "notes": list(self.notes), **rows}


def compare_scores(
    a: pd.DataFrame,
    b: pd.DataFrame,
    *,
    metric: str = "SDR",
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Compare two tables of frames, track by track.

    A track's score is the median of its finite frames, as in museval. Differences are rounded to the five decimals of
    museval's files. Tracks and stems that only one table has scored are left out of the differences and noted; if it is
    A, they are in ``missing``.

    Args:
        a: Frames to compare with: columns ``track``, ``target``, ``time_s`` and the metric, in dB.
        b: Frames of the model that is judged.
        metric: A column of both; more is better.
        confidence: See `median_interval`.
        resamples: See `median_interval`.
        seed: Of every stem's bootstrap, so that a stem's interval does not depend on the other stems.

    Raises:
        DatasetError: if a table lacks the metric, or nothing is scored in both.
    """
    _check_metric(metric, a, b)
    notes = [*_only_in_one("stem", a, b, "target"), *_only_in_one("track", a, b, "track"), *_doubts(a, b)]
    # Outer: a stem that only one of them has in this track counts as unscored.
    paired = pd.merge(
        _track_medians(a[a["track"].isin(b["track"]) & a["target"].isin(b["target"])], metric),
        _track_medians(b[b["track"].isin(a["track"]) & b["target"].isin(a["target"])], metric),
        how="outer",
        on=_KEYS,
    )
    paired = paired.set_axis([*_KEYS, "a", "b"], axis="columns").sort_values("track", kind="stable")
    unscored = paired[["a", "b"]].isna().any(axis="columns")
    if unscored.all():
        raise DatasetError(
            f"no stem of any track has a score ({metric}) in both A and B",
            hint="Silence has no score. Compare other scores.",
        )
    if unscored.any():
        names = [f"{row.track} ({row.target})" for row in paired[unscored].itertuples()]
        notes.append(f"left out, {len(names)} without a score in A or in B, e.g. silence: {_some(names)}")
    paired = paired[~unscored]
    paired["difference"] = (paired["b"] - paired["a"]).round(_DECIMALS) + 0.0  # no -0.0
    # In B's order; stems without a scored track have been noted above.
    order = [stem for stem in b["target"].unique() if stem in set(paired["target"])]
    stems = pd.DataFrame([_stem(stem, paired[paired["target"] == stem], confidence, resamples, seed) for stem in order])
    stems["p_holm"] = holm(stems["p"].to_numpy())
    few = int(stems["num_tracks"].min())
    if few < (needed := tracks_needed(confidence)):
        notes.append(
            f"{few} {'track' if few == 1 else 'tracks'}: fewer than {needed} cannot show a difference at "
            f"{100 * confidence:g} %; intervals are too narrow, and the median difference alone decides"
        )
    tracks = paired.sort_values(["difference", "track", "target"], ignore_index=True)
    tracks = tracks[["track", "target", "a", "b", "difference"]]
    return Comparison(metric, confidence, stems, tracks, missing_scores(a, b, metric), tuple(notes))


def _check_metric(metric: str, a: pd.DataFrame, b: pd.DataFrame) -> None:
    metrics = [set(table.select_dtypes("number").columns) - {"time_s"} for table in (a, b)]
    if metric not in metrics[0] & metrics[1]:
        both = ", ".join(column for column in b.columns if column in metrics[0] & metrics[1]) or "none"
        where = " and ".join(name for name, has in zip("AB", metrics, strict=True) if metric not in has)
        raise DatasetError(f"{metric}: no such metric in the scores of {where}", hint=f"Both have: {both}.")


def _track_medians(frames: pd.DataFrame, metric: str) -> pd.DataFrame:
    finite = frames[metric].where(np.isfinite(frames[metric]))
    return finite.groupby([frames[key] for key in _KEYS], sort=False).median().reset_index()


def _stem(name: str, tracks: pd.DataFrame, confidence: float, resamples: int, seed: int) -> dict[str, Any]:
    differences = tracks["difference"].to_numpy()
    low, high = median_interval(differences, confidence=confidence, resamples=resamples, seed=seed)
    a, b = float(tracks["a"].median()), float(tracks["b"].median())
    return {
        "target": name,
        "num_tracks": len(tracks),
        "a": a,
        "b": b,
        "difference_of_medians": b - a,
        "median_difference": float(np.median(differences)),
        "low": low,
        "high": high,
        "mean_difference": float(differences.mean()),
        "num_better": int((differences > 0).sum()),
        "num_worse": int((differences < 0).sum()),
        "p": signed_rank_p(differences),
    }


def _only_in_one(kind: str, a: pd.DataFrame, b: pd.DataFrame, column: str) -> list[str]:
    """Notes about what is left out; DatasetError if nothing is in both."""
    in_a, in_b = list(a[column].unique()), list(b[column].unique())
    if not set(in_a) & set(in_b):
        raise DatasetError(
            f"no {kind} in common: A has {_some(in_a)}, B has {_some(in_b)}",
            hint="Compare scores of the same test set.",
        )
    only = {"A": [name for name in in_a if name not in in_b], "B": [name for name in in_b if name not in in_a]}
    return [
        f"left out, {len(names)} {kind}{'s' * (len(names) > 1)} that only {side} has: {_some(names)}"
        for side, names in only.items()
        if names
    ]


def _doubts(a: pd.DataFrame, b: pd.DataFrame) -> list[str]:
    """Signs that tracks of one name are different recordings."""
    cut = _differing([table.groupby("track")["time_s"].nunique() for table in (a, b)])
    if cut:  # an excerpt's mixture scores differently too: one note is enough
        return [
            f"{len(cut)} of the tracks have a different number of frames in A than in B, perhaps an excerpt or other "
            f"windows: {_some(cut)}"
        ]
    if MIXTURE_SDR not in a or MIXTURE_SDR not in b:
        return []
    mixtures = [_track_medians(table, MIXTURE_SDR).set_index(_KEYS)[MIXTURE_SDR] for table in (a, b)]
    names = list(dict.fromkeys(track for _, track in _differing(mixtures, _SAME_MIXTURE_DB)))
    note = f"{len(names)} of the tracks have a different score of the untouched mixture in A than in B, perhaps other"
    return [f"{note} recordings: {_some(names)}"] if names else []


def _differing(pair: "list[pd.Series[Any]]", tolerance: float = 0) -> list[Any]:
    difference = (pair[0] - pair[1]).abs()  # NaN where only one has it
    return list(difference.index[difference > tolerance])


def _some(names: list[str]) -> str:
    return first_few(names, _SHOWN_NAMES) or "none"
