"""What MLflow's store knows of runs that were made before."""

import logging
from pathlib import Path

import mlflow
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

from tasks.mlflow_store import call_with_timeout, page_address, store_client, unusable

_logger = logging.getLogger(__name__)
_ANSWER_S = 10.0


def page_of(run_id: str) -> str | None:
    """Address of the page of a run that has ended, or None if the store does not know it or does not answer."""
    try:
        stored = call_with_timeout(_ANSWER_S, lambda: store_client().get_run(run_id))
    except Exception as error:  # MLflow lets through what its database or HTTP library raises
        _logger.warning("MLflow's store does not tell where the run %s is: %s", run_id, error)
        return None
    return page_address(str(stored.info.experiment_id), run_id)


def run_folder_of(run_id: str) -> Path | None:
    """The folder of an MLflow run that this project made, or None; TrackingError if the store does not answer."""
    try:
        folder = store_client().get_run(run_id).data.tags.get("run_folder")
    except mlflow.exceptions.MlflowException as error:
        if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            return None
        raise unusable(error) from error
    return Path(folder) if folder else None
