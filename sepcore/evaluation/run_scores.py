"""Whose scores a run's are: of its own weights, by its own config, on its own test set, of every song."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.manifest import TrackRow, load_manifest
from sepcore.errors import DatasetError, StemworksError
from sepcore.evaluation.choices import ScoringEngine
from sepcore.evaluation.file_fingerprint import song_fingerprint, songs_fingerprint
from sepcore.evaluation.scores import MadeFrom, ScoreSummary
from sepcore.separation.separator import Separator
from sepcore.separation.settings import SeparatorSettings
from sepcore.training.run_folder import RunFolder

UNVERIFIED = "scores of an earlier version, which do not say which weights and songs they belong to"


@dataclass(frozen=True)
class RunScores:
    """The scores that count for a run.

    Attributes:
        summary: Those of its present weights and config; None if there are none.
        note: Why there are none, or why nobody can tell whose they are; empty otherwise.
    """

    summary: ScoreSummary | None
    note: str = ""


def run_scores(run: RunFolder) -> RunScores:
    """The scores in a run's folder; DatasetError for a file that is none of this project's."""
    if not run.scores.is_file():
        return RunScores(None, f"has no {run.scores.name}")
    summary = ScoreSummary.from_json(run.scores.read_text("utf-8"), str(run.scores))
    if summary.made_from is None:
        return RunScores(summary, UNVERIFIED)
    if not is_of(run, summary.made_from):
        return RunScores(None, f"has a {run.scores.name} of other weights, or of another config")
    return RunScores(summary)


def is_of(run: RunFolder, made_from: MadeFrom) -> bool:
    """Whether scores are of a run's present weights and config."""
    try:
        return made_from.model == _fingerprint(run)
    except StemworksError:  # it has no weights, or no config, that can be used
        return False


def why_not_own(
    run: RunFolder,
    config: ModelConfig,
    rows: Sequence[TrackRow],
    engine: ScoringEngine,
    *,
    model: str,
    dataset: str,
    songs: Callable[[], str],
) -> str:
    """Why an evaluation of a finished run does not give the run's own scores; empty if it does.

    A run's own test set are the songs that `flows.train` recorded, or, of earlier versions, those of the manifest that
    it did. Where none are recorded, it is the songs that the run has scores of; where it has none yet, any.

    Args:
        run: The run.
        config: Its config.
        rows: The songs that are scored.
        engine: What scores them.
        model: Fingerprint of the model as it separates there.
        dataset: Name of the test set.
        songs: Gives the fingerprint of the songs.
    """
    if model != _fingerprint(run):
        return "its config says otherwise how to separate"
    if engine == "stable":
        return "--engine stable gives other scores than museval's"
    done = run.finished()
    data = done.data if done else {}
    if (own_songs := done and done.test_songs) is not None:
        return "" if own_songs == songs() else f"its own test set is {data.get('test_csv')} as it was trained with"
    if "test_csv" in data:
        csv, data_dir = Path(data["test_csv"]), data.get("data_dir")
        try:
            own = load_manifest(csv, config, data_dir=Path(data_dir) if data_dir else None)
            if {row.files for row in own} == {row.absolute().files for row in rows}:
                return ""
            its_songs = songs_fingerprint(song_fingerprint(row) for row in own)
        except DatasetError as error:
            return f"its own test set cannot be read ({error})"
        if own:  # else earlier versions recorded a manifest without songs
            return "" if its_songs == songs() else f"its own test set is {csv}"
    if not run.scores.is_file():
        return ""
    known = ScoreSummary.from_json(run.scores.read_text("utf-8"), str(run.scores))
    # Those of an earlier version have no more than a name.
    if (known.made_from.songs == songs()) if known.made_from else (known.dataset == dataset):
        return ""
    return f"it has scores on other songs, {known.dataset} (delete {run.scores} to score it on these instead)"


def _fingerprint(run: RunFolder) -> str:
    return Separator.of(SeparatorSettings(str(run.path))).fingerprint()
