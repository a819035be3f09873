"""The run whose model is scored: where its scores may go, and whether an evaluation gives them."""

from pathlib import Path

from sepcore.errors import ConfigError
from sepcore.training.run_folder import RunFolder


def scored_run(params: str | None, estimates: Path | None) -> RunFolder | None:
    """The finished run whose model is scored, if it is one's."""
    run = RunFolder(Path(params)) if params is not None and estimates is None else None
    return run if run is not None and run.finished() is not None else None


def check_place(out: Path, params: str | None, estimates: Path | None) -> None:
    """Refuse a folder for the scores that holds those of a run, unless it is that run's model that is scored.

    Args:
        out: ``-o``.
        params: ``-p``.
        estimates: Folder of stems that are scored instead of the model's.
    """
    out = out.resolve()
    if _is_run(out):
        raise ConfigError(
            "is a run's folder",
            path=out,
            hint=f"Give -o {out / 'evaluation'} for the run's own scores, or choose another folder.",
        )
    scored = Path(params).resolve() if params is not None and estimates is None else None
    if is_evaluation_of(out, RunFolder(out.parent)) and _is_run(out.parent) and scored != out.parent:
        raise ConfigError(f"is for the scores of the run {out.parent}", path=out, hint="Choose another folder with -o.")


def is_evaluation_of(out: Path, run: RunFolder) -> bool:
    """Whether a folder is that of the run's own scores."""
    return out.resolve() == run.evaluation.resolve()


def _is_run(folder: Path) -> bool:
    run = RunFolder(folder)
    return (folder / "config.json").is_file() and (run.finished() is not None or run.checkpoints.is_dir())
