"""What validations decide: which weights are the best so far, when the learning rate falls, when training ends."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Self

from sepcore.config.model_config import ModelConfig


@dataclass(frozen=True)
class Selection:
    """What all validations up to now have come to.

    Attributes:
        best_step: Step of the best validation; None before the first.
        best_value: Its validation loss, or its SDR in dB where `model_choice` is ``validation_sdr``.
        num_worse: Validations since then.
        num_on_plateau: Validations since then, or since the learning rate was lowered.
        rate_factor: What the learning rate has been multiplied with by plateaus.
    """

    best_step: int | None = None
    best_value: float = math.nan
    num_worse: int = 0
    num_on_plateau: int = 0
    rate_factor: float = 1.0

    def after(self, step: int, metrics: Mapping[str, float], config: ModelConfig) -> Self:
        """The selection after one more validation; unchanged if that has no value to go by."""
        by_sdr = config.model_choice == "validation_sdr"
        value = metrics.get("validation_SDR" if by_sdr else "validation_loss", math.nan)
        if math.isnan(value):
            return self
        if self.best_step is None or (value > self.best_value if by_sdr else value < self.best_value):
            return replace(self, best_step=step, best_value=value, num_worse=0, num_on_plateau=0)
        on_plateau, factor = self.num_on_plateau + 1, self.rate_factor
        if config.schedule == "plateau" and on_plateau >= config.plateau_patience:
            on_plateau, factor = 0, factor * config.plateau_factor
        return replace(self, num_worse=self.num_worse + 1, num_on_plateau=on_plateau, rate_factor=factor)

    def ends_training(self, config: ModelConfig) -> bool:
        """Whether `patience` is at an end."""
        return config.patience is not None and self.num_worse >= config.patience

    def to_json(self) -> str:
        """A text that `from_json` takes."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` wrote."""
        return cls(**json.loads(text))
