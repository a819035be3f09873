"""What a training is handed from outside, and how it ends."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sepcore.training.metrics_log import MetricsRecord

Batches = Iterable[tuple[Any, Any]]


@dataclass(frozen=True)
class TrainingWork:
    """What a training is handed from outside.

    Attributes:
        training_batches: Called with the first step to run; yields ``(mixture, targets)`` without end, float32
            magnitudes ``(batch, T, F, channels)`` and ``(batch, stems, T, F, channels)``.
        validation_batches: The validation set, once through.
        report: Called with each record after it has been written to the run's `metrics_log`.
        score_songs: Called at each validation with the network and the step; its metrics are joined to the losses,
            ``validation_SDR`` being the one that a model can be chosen by.
        why_unscored: Why ``score_songs`` has just given no ``validation_SDR``, in a few words.
        validated: Called after each validation with the step of the best one so far; None if there is none.
        initial_weights: Fingerprint of the weights that the run starts from, see `initial_fingerprint`; training
            refuses to start from others. None: they were not looked at.
        describe_batch: Songs and offsets of the batch of a step, to be named when its loss is not finite.
    """

    training_batches: Callable[[int], Batches]
    validation_batches: Callable[[], Batches]
    report: Callable[[MetricsRecord], None] = lambda record: None
    score_songs: Callable[[Any, int], Mapping[str, float]] = lambda network, step: {}
    why_unscored: Callable[[], str] = lambda: "no songs were given"
    validated: Callable[[int | None], None] = lambda best_step: None
    initial_weights: str | None = None
    describe_batch: Callable[[int], list[str]] = lambda step: []


@dataclass(frozen=True)
class TrainingResult:
    """How a training ended.

    Attributes:
        steps: Steps done.
        ended_early: Whether ``patience`` ended it.
        model_step: Step of the weights that became the model.
        choice_note: Why these are not the weights that `model_choice` asks for; None if they are.
    """

    steps: int
    ended_early: bool
    model_step: int
    choice_note: str | None = None
