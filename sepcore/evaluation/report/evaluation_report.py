"""What the report of an evaluation is made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sepcore.evaluation import track_scores, track_table
from sepcore.evaluation.report.excerpt import Excerpt

if TYPE_CHECKING:
    import pandas as pd

NOT_COMPARABLE = "not MUSDB18's test set: the published numbers are not comparable"


@dataclass(frozen=True, eq=False)
class EvaluationReport:
    """The evaluation of one model on one test set. All scores are in dB; any of them may be NaN.

    Attributes:
        model: The model's name, any text.
        dataset: Name of the test set, any text.
        is_musdb18_test: Whether that is MUSDB18's test set, on which the published numbers stand.
        instruments: The stems, in the model's order.
        frames: A row a track, stem and frame: ``track, target, time_s, SDR, ISR, SIR, SAR, mixture_SDR``.
        tracks: A row a track and stem: ``track, target``; medians over the frames ``SDR, ISR, SIR, SAR, mixture_SDR``;
            of the whole track ``global_SDR, SI_SDR``; counts ``num_frames, num_nan_frames``.
        engine: How the scores were computed, in words.
        baselines: What was scored on the same test set to compare with, by name: tables like ``tracks``.
        excerpts: The tracks to hear.
        failed: Why tracks have no score, by track.

    Raises:
        ValueError: if there is no instrument, or a table lacks a column.
    """

    model: str
    dataset: str
    is_musdb18_test: bool
    instruments: tuple[str, ...]
    frames: "pd.DataFrame"
    tracks: "pd.DataFrame"
    engine: str
    baselines: "Mapping[str, pd.DataFrame]" = field(default_factory=dict)
    excerpts: Sequence[Excerpt] = ()
    failed: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.instruments:
            raise ValueError("instruments is empty; expected at least one stem. Name those that were scored.")
        tables = [("frames", self.frames, track_scores.COLUMNS), ("tracks", self.tracks, track_table.COLUMNS)]
        tables += [(f"baseline {name}", table, ("track", "target", "SDR")) for name, table in self.baselines.items()]
        for name, table, columns in tables:
            if missing := [column for column in columns if column not in table.columns]:
                raise ValueError(f"{name} lacks {', '.join(missing)}; expected the columns {', '.join(columns)}.")

    @property
    def baselines_beside(self) -> "dict[str, pd.DataFrame]":
        """The baselines on the tracks that the model has scores of: other tracks, other numbers."""
        scored = self.tracks["track"]
        return {name: table[table["track"].isin(scored)] for name, table in self.baselines.items()}
