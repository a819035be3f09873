"""The evaluation flow: every test song scored, and the report."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import pandas as pd
from prefect import unmapped

from flows.evaluate.options import WORKERS, EvaluationSet, Options, check_place, is_evaluation_of, scored_run
from flows.support.flow_options import flow_of, run_name
from flows.support.runners import OnRunner, model_anywhere, task_runner
from flows.support.song_tasks import finished_tasks, results
from flows.support.terminal import print_scores, say
from sepcore import Separator, load_config
from sepcore.config.model_config import ModelConfig
from sepcore.dataset.manifest import TrackRow
from sepcore.errors import CheckpointError, ConfigError, OutputNotWritable, ProviderError, SongsFailed, StemworksError
from sepcore.evaluation.choices import ENGINES, ScoringEngine
from sepcore.evaluation.estimates import BASELINES, Estimates, FolderEstimates, ModelEstimates
from sepcore.evaluation.excerpt import Excerpt, excerpt_start_s, tracks_to_hear
from sepcore.evaluation.file_fingerprint import song_fingerprint, songs_fingerprint
from sepcore.evaluation.report.evaluation_report import EvaluationReport, is_musdb18_test
from sepcore.evaluation.report.report import write_report
from sepcore.evaluation.run_scores import why_not_own
from sepcore.evaluation.scores import MadeFrom, ScoreSummary
from sepcore.evaluation.track_evaluation import remove_other_scores, tracks_made_from
from sepcore.evaluation.track_scores import TrackScores, read_track_scores, track_table, write_table
from sepcore.separation.settings import SeparatorSettings
from sepcore.system.atomic import write_text
from tasks.artifacts import show_scores
from tasks.dataset import ingest_song
from tasks.evaluation import evaluate_song, excerpt_of_song, log_scores


@dataclass(frozen=True)
class EvaluatedSongs:
    """The songs of a test set after their scoring.

    Attributes:
        folder: The evaluation's.
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


@flow_of(
    Options,
    without=OnRunner.model_fields,
    name="evaluate",
    flow_run_name=run_name("evaluate", params="", estimates="stems of", mus_dir="on", csv="on"),
    task_runner=task_runner(workers=WORKERS),
)
def evaluate(options: Options) -> ScoreSummary:
    """Score every test song, and report; songs whose scores are there already are not scored again.

    The scores of a finished run go into its folder and its MLflow run too, if they are its own; see `why_not_own`.

    Raises:
        SongsFailed: some songs could not be scored; the others are, and reported.
    """
    out = options.out.absolute()  # the workers of a cluster have another working directory
    engine = options.engine
    check_place(out, options.params, options.estimates)
    songs = options.test_set()
    scored, *beside = _estimates(options, songs)
    rows = test_songs(songs, scored.config, out)
    run = scored_run(options.params, options.estimates)
    if run is not None:
        model, dataset = scored.fingerprint(rows[0]), songs.name
        why_not = partial(why_not_own, run, scored.config, rows, engine, model=model, dataset=dataset)
        other = is_evaluation_of(out, run) and why_not(songs=lambda: songs_fingerprint(map(song_fingerprint, rows)))
        if other:
            problem = f"is for the run's own scores, and these are others: {other}"
            raise ConfigError(problem, path=out, hint="Choose another folder with -o.")
    result = evaluate_songs(rows, scored, out, engine)
    others = {other.name: evaluate_songs(rows, other, out / "baselines" / other.name, engine) for other in beside}
    if not result.files:
        raise _failure({scored.name: result}, len(rows))
    summary = ScoreSummary.from_tracks(result.tracks, dataset=songs.name, made_from=result.made_from)
    write_text(out / "scores.json", summary.to_json())
    report = EvaluationReport(
        model=scored.name,
        dataset=songs.name,
        is_musdb18_test=songs.musdb is not None and is_musdb18_test(result.tracks),
        instruments=tuple(scored.config.instruments),
        frames=result.frames,
        tracks=result.tracks,
        engine=ENGINES[engine],
        baselines={name: other.tracks for name, other in others.items() if other.files},
        excerpts=excerpts_to_hear(rows, scored, result, out, options.listen),
        failed={song: str(error) for song, error in result.failed.items()}
        | {
            f"{song} ({name})": str(error)
            for name, other in others.items()
            for song, error in other.failed.items()
            if song not in result.failed
        },
    )
    write_report(out, report)
    show_scores(scored.name, summary)
    if run is not None and (finished := run.finished()) is not None:
        failed = f"{len(result.failed)} of {len(rows)} songs could not be scored" if result.failed else ""
        if other := failed or why_not(songs=lambda: result.made_from.songs):
            say([f"not taken for the scores of {run.path}: {other}"])
        else:
            write_text(run.scores, summary.to_json())
            log_scores(run, finished.name, summary, out, options.csv)
    everything = {scored.name: result} | others
    if any(part.failed for part in everything.values()):
        raise _failure(everything, len(rows))
    return summary


def _estimates(options: Options, songs: EvaluationSet) -> list[Estimates]:
    """The estimates to score; those that the report is about come first."""
    params, estimates = options.params, options.estimates
    chosen: list[Estimates] = []
    if params is not None and estimates is None:
        settings = SeparatorSettings(
            model_anywhere(params), options.mwf, engine="tensorflow", overrides=options.overrides or {}
        )
        chosen.append(ModelEstimates(Separator.of(settings)))
        config = chosen[0].config
    else:
        config = options.changed(songs.own_config(estimates) if params is None else load_config(params))
    if estimates is not None:
        chosen.append(FolderEstimates(estimates.absolute(), config))
    return [*chosen, *(BASELINES[name](config) for name in options.baselines)]


def _failure(parts: dict[str, EvaluatedSongs], num_songs: int) -> SongsFailed:
    """A line for each song, and one that counts them."""
    failed = {song for part in parts.values() for song in part.failed}
    lines = dict.fromkeys(_line(song, error) for part in parts.values() for song, error in part.failed.items())
    return SongsFailed(
        "\n".join([*lines, f"{len(failed)} of {num_songs} songs could not be scored"]),
        hint="The others were kept." if len(failed) < num_songs else "",
    )


def _line(song: str, error: StemworksError | OSError) -> str:
    """An error that names its song once: one without a path does so itself, and so does the path of a song's folder."""
    if isinstance(error, StemworksError):
        path = None if error.path is None else Path(error.path)
        if path is None or song in (path.name, path.parent.name):
            return str(error)
    return f"{song}: {error}"


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


def main(options: Options) -> None:
    """Score, and print the scores, also if some songs could not be scored."""
    started = time.time_ns()
    try:
        evaluate.with_options(task_runner=options.task_runner(WORKERS))(**options.song_parameters())
    finally:
        scores = options.out / "scores.json"
        # Not those of an earlier evaluation, where this one could score nothing.
        if scores.is_file() and scores.stat().st_mtime_ns >= started:
            print_scores(ScoreSummary.from_json(scores.read_text("utf-8")))
            say([f"scores: {options.out}", f"report: {options.out / 'report.html'}"])
