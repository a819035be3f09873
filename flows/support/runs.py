"""A run by any of its names."""

import re
from pathlib import Path

from sepcore.training.run_folder import RunFolder, find_run

_MLFLOW_ID = re.compile(r"[0-9a-f]{32}")


def resolve_run(run: str, work_dir: Path) -> RunFolder:
    """A run by its folder, its name in ``work_dir``, or its MLflow run id; TrainingError if there is none."""
    if not _MLFLOW_ID.fullmatch(run) or Path(run).exists():
        return find_run(run, work_dir)
    from tasks.tracking.store import run_folder_of  # MLflow takes seconds to import

    return find_run(run_folder_of(run) or run, work_dir)
