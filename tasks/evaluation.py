"""Tasks of the evaluation: score one track, cut an excerpt of it to hear, log the scores to MLflow."""

import math
from pathlib import Path

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from sepcore.dataset.manifest import TrackRow
from sepcore.evaluation.choices import ScoringEngine
from sepcore.evaluation.estimates import Estimates
from sepcore.evaluation.excerpt import Excerpt, excerpt_of_track
from sepcore.evaluation.file_fingerprint import file_fingerprint
from sepcore.evaluation.scores import ScoreSummary
from sepcore.evaluation.track_evaluation import evaluate_track
from sepcore.training.run_folder import RunFolder
from tasks.tracking.run import tracked

# What an evaluation leaves beside the score files of its tracks.
_REPORT = ("scores.json", "frames.parquet", "tracks.parquet", "report.html", "boxplot.png", "boxplot.svg")


@task(task_run_name="evaluate-{row.name}", cache_policy=NO_CACHE)
def evaluate_song(row: TrackRow, estimates: Estimates, folder: Path, engine: ScoringEngine) -> Path:
    """Run `sepcore.evaluation.track_evaluation.evaluate_track`; returns the track's score file."""
    path = evaluate_track(row, estimates, folder, engine)
    get_run_logger().info("%s: scored in %s", row.name, path)
    return path


@task(task_run_name="excerpt-{row.name}", cache_policy=NO_CACHE)
def excerpt_of_song(row: TrackRow, estimates: Estimates, folder: Path, start_s: float) -> Excerpt:
    """Run `sepcore.evaluation.excerpt.excerpt_of_track`."""
    return excerpt_of_track(row, estimates, folder, start_s)


@task(task_run_name="log-scores-{name}", cache_policy=NO_CACHE)
def log_scores(run: RunFolder, name: str, summary: ScoreSummary, evaluation: Path, csv: Path | None) -> None:
    """Log the scores of a model and the report to the run's MLflow run; ``csv`` is the test set's manifest, if any."""
    with tracked(run, name) as tracking:
        for stem, scores in summary.stems.items():
            known = {metric: score for metric, score in scores.by_metric().items() if not math.isnan(score)}
            tracking.log_metrics({f"test_{metric}_{stem}": score for metric, score in known.items()})
        tracking.tag("test_set", summary.dataset)
        done = run.finished()
        # Beside the training's own `model_step`, to recognize scores of weights that a longer training has replaced.
        tracking.tag("test_model_step", str(done and done.model_step))
        if csv is not None:
            tracking.log_dataset(csv, digest=file_fingerprint([csv]), context="test")
        tracking.log_folder(evaluation / "test", "evaluation/test")
        for file in _REPORT:
            if (evaluation / file).is_file():
                tracking.log_file(evaluation / file)
