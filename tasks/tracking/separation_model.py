"""The model that MLflow serves: a copy of this file lies beside the weights and runs wherever they are loaded."""

from pathlib import Path
from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class SeparationModel(PythonModel):
    """Waveform in, stems out: float32 ``(samples, channels)`` in [-1, 1] at the config's sample rate, each."""

    # MLflow would warn of missing type hints, and nothing else silences it. Inputs are checked against the signature.
    _skip_type_hint_validation = True

    def load_context(self, context: Any) -> None:
        """Load the model; MLflow calls this once."""
        from sepcore.separation.separator import Separator

        # The artifacts' common folder is laid out as a run folder: config.json and model/.
        self._separator = Separator(Path(context.artifacts["config"]).parent)

    # Without types: MLflow would read them as a schema, in place of the signature.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Stems by instrument, as `sepcore.Separator.separate` gives them."""
        return self._separator.separate(model_input)


set_model(SeparationModel())
