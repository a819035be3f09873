"""Where MLflow's store is, found out without importing MLflow, which takes seconds."""

import os
from pathlib import Path

SQLITE = "sqlite:///"
_STORE = "mlflow.db"


def tracking_uri() -> str:
    """``MLFLOW_TRACKING_URI``, else the store in the working directory, which a plain ``mlflow ui`` there shows."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{Path(_STORE).absolute()}"
