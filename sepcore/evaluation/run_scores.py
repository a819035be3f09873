"""Which scores are a run's own: of its present weights and config, on all songs of its own test set."""

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
    """The scores of a run's present weights and config, or None; and why there are none, or they are not verified."""

    summary: ScoreSummary | None
    note: str = ""


def run_scores(run: RunFolder) -> RunScores:
    """The scores in a run's folder; DatasetError if the file is not one of this project's."""
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
    except StemworksError:  # its weights or config are missing or damaged
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

    A run's own test set is the songs that ``flows.train`` recorded, or the manifest that an earlier version recorded;
    otherwise the songs of its present scores; without scores, any songs.

    ``model`` is the model's fingerprint in this evaluation; ``songs`` reads all songs for their fingerprint.
    """
    if model != _fingerprint(run):
        return "the run's config separates differently"
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
        if own:  # an earlier version could record a manifest without songs
            return "" if its_songs == songs() else f"its own test set is {csv}"
    if not run.scores.is_file():
        return ""
    known = ScoreSummary.from_json(run.scores.read_text("utf-8"), str(run.scores))
    # An earlier version recorded only a name.
    if (known.made_from.songs == songs()) if known.made_from else (known.dataset == dataset):
        return ""
    return f"it has scores on other songs, {known.dataset} (delete {run.scores} to score it on these instead)"


def _fingerprint(run: RunFolder) -> str:
    return Separator.of(SeparatorSettings(str(run.path))).fingerprint()
