"""A manifest as MLflow shows the datasets that went into a run."""

import warnings
from pathlib import Path

import pandas as pd
from mlflow.data.pandas_dataset import from_pandas
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT


def dataset_input(csv: Path, *, digest: str, context: str) -> DatasetInput:
    """Describe a manifest by its columns and number of songs.

    Args:
        csv: The manifest; its absolute path is kept as the dataset's source.
        digest: Fingerprint of what was made of it, at most 36 characters.
        context: ``training`` or ``validation``.
    """
    with warnings.catch_warnings():
        # Of integer columns, which may be missing where a model predicts from a table; and of a local path, for which
        # MLflow knows the same kind of source twice.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"mlflow\.")
        table = from_pandas(pd.read_csv(csv), source=str(csv.absolute()), name=csv.stem, digest=digest)
        content = table.to_dict()
    return DatasetInput(Dataset(**content), [InputTag(MLFLOW_DATASET_CONTEXT, context)])
