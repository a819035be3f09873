"""All songs of a test set scored, each a task; one that fails does not stop the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
from prefect import unmapped

from flows.evaluate.evaluation_set import EvaluationSet
from flows.support.song_tasks import finished_tasks, results
from sepcore.config.model_config import ModelConfig
from sepcore.dataset.manifest import TrackRow
from sepcore.errors import CheckpointError, OutputNotWritable, ProviderError, StemworksError
from sepcore.evaluation.choices import ScoringEngine
from sepcore.evaluation.estimates import Estimates
from sepcore.evaluation.excerpt import Excerpt, excerpt_start_s, tracks_to_hear
from sepcore.evaluation.scores import MadeFrom, ScoreSummary
from sepcore.evaluation.track_evaluation import remove_other_scores, tracks_made_from
from sepcore.evaluation.track_scores import TrackScores, read_track_scores, track_table, write_table
from tasks.dataset import ingest_song
from tasks.evaluation import evaluate_song, excerpt_of_song


@dataclass(frozen=True)
class EvaluatedSongs:
    """The songs of a test set after their scoring.

    Attributes:
        folder: Of the evaluation.
        files: The score file of every song that could be scored.
        failed: The errors of the others, by song.
    """

    folder: Path
    files: tuple[Path, ...]
    failed: dict[str, StemworksError | OSError]

    @cached_property
    def _scores(self) -> TrackScores:
        scores = [read_track_scores(file) for file in self.files]
        frames, totals = ([one.frames for one in scores], [one.totals for one in scores])
        return TrackScores(pd.concat(frames, ignore_index=True), pd.concat(totals, ignore_index=True))

    @cached_property
    def made_from(self) -> MadeFrom:
        """The weights, config and songs that the scores belong to."""
        return tracks_made_from(self.folder, self.files)

    @property
    def frames(self) -> pd.DataFrame:
        """With the columns `track_scores.COLUMNS`."""
        return self._scores.frames

    @cached_property
    def tracks(self) -> pd.DataFrame:
        """With the columns `track_scores.TRACK_COLUMNS`."""
        return track_table(self._scores)


def evaluate_songs(rows: Sequence[TrackRow], estimates: Estimates, out: Path, engine: ScoringEngine) -> EvaluatedSongs:
    """Score songs and write the tables ``frames.parquet`` and ``tracks.parquet``; ``out`` is absolute."""
    files: list[Path] = []
    failed: dict[str, StemworksError | OSError] = {}
    tasks = finished_tasks(
        evaluate_song, rows, estimates, out, engine, description=f"evaluate {estimates.name}", total=len(rows)
    )
    for row, future in tasks:
        try:
            files.append(future.result())
        except (CheckpointError, OutputNotWritable, ProviderError):  # no song's own fault: the others would fail, too
            raise
        except (StemworksError, OSError) as error:
            failed[row.name] = error
    evaluated = EvaluatedSongs(out, tuple(files), failed)
    if files:
        # An earlier evaluation's summary says what its tables were made from. It goes first, so that even a killed
        # process leaves no new tables under it; another program's file stays.
        summary = out / "scores.json"
        try:
            ScoreSummary.from_json(summary.read_text("utf-8"))
        except (OSError, ValueError):
            pass
        else:
            summary.unlink()
        remove_other_scores(out, files)
        write_table([evaluated.frames], out / "frames.parquet")
        write_table([evaluated.tracks], out / "tracks.parquet")
    return evaluated


def excerpts_to_hear(
    rows: Sequence[TrackRow], estimates: Estimates, evaluated: EvaluatedSongs, out: Path, number: int
) -> list[Excerpt]:
    """Excerpts of a ``number`` of songs, from the worst to the best."""
    if not number:
        return []
    by_name = {row.name: row for row in rows}
    frames = evaluated.frames.groupby("track")
    names = tracks_to_hear(evaluated.tracks, number)
    starts = [excerpt_start_s(frames.get_group(name)) for name in names]
    chosen = [by_name[name] for name in names]
    return results(excerpt_of_song.map(chosen, unmapped(estimates), unmapped(out), starts), "excerpts to hear")


def test_songs(songs: EvaluationSet, config: ModelConfig, out: Path) -> list[TrackRow]:
    """The rows of a test set; songs of MUSDB18 are first brought to files in ``out``."""
    if songs.csv is not None:
        # Absolute: the workers of a cluster have another working directory.
        return [row.absolute() for row in songs.rows(config)]
    return results(ingest_song.map(songs.musdb_songs(config), unmapped(out), unmapped(config)), "read test songs")
