"""Tasks of the evaluation: one track separated and scored, and the medians into MLflow."""

from pathlib import Path

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from sepcore.dataset.manifest import TrackRow
from sepcore.evaluation.scores import ScoreSummary
from sepcore.evaluation.track_evaluation import evaluate_track
from sepcore.separator import Separator
from sepcore.training.run_folder import RunFolder
from tasks.tracking import tracked


@task(task_run_name="evaluate-{row.name}", cache_policy=NO_CACHE)
def evaluate_song(row: TrackRow, separator: Separator, folder: Path) -> Path:
    """Run `sepcore.evaluation.track_evaluation.evaluate_track`; returns the track's score file."""
    path = evaluate_track(row, separator, folder)
    get_run_logger().info("%s: scored in %s", row.name, path)
    return path


@task(cache_policy=NO_CACHE)
def log_scores(run: RunFolder, name: str, summary: ScoreSummary, evaluation: Path) -> None:
    """Put the medians, the untouched mixture's beside them, and the score files into the run's MLflow run."""
    with tracked(run, name) as tracking:
        for stem, scores in summary.stems.items():
            metrics = {f"test_SDR_{stem}": scores.sdr, f"test_SIR_{stem}": scores.sir, f"test_SAR_{stem}": scores.sar}
            metrics |= {f"test_ISR_{stem}": scores.isr, f"test_mixture_SDR_{stem}": scores.mixture_sdr}
            tracking.log_metrics({key: value for key, value in metrics.items() if value == value})
        tracking.tag("test_set", summary.dataset)
        tracking.log_folder(evaluation / "test", "evaluation/test")
        for file in ("scores.json", "frames.parquet"):
            tracking.log_file(evaluation / file)
