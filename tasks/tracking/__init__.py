"""Training runs in MLflow. This module gives the store's address without importing MLflow, which takes seconds."""

import os
from pathlib import Path

# Before any module of this package imports MLflow: it would look up its makers' host, and warn three times where there
# is no git.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
# MLflow itself waits up to 120 s for an answer and asks eight times. Unsent records are kept and sent later, so
# nothing is gained by waiting. Files may take longer.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT", "120")
# It prints the address of each run that ends on a server, and bars for files that it copies.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

SQLITE = "sqlite:///"
_STORE = "mlflow.db"


def tracking_uri() -> str:
    """``MLFLOW_TRACKING_URI``, else the store in the working directory, which a plain ``mlflow ui`` there shows."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{Path(_STORE).absolute()}"
