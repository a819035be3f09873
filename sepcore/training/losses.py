"""Spleeter's losses between estimated and true magnitudes."""

from collections.abc import Callable
from typing import Any

from keras import ops

from sepcore.config import ModelConfig


def stem_losses(targets: Any, estimates: Any, *, weighted: bool) -> Any:
    """Mean absolute error of each example and stem.

    Args:
        targets: Magnitudes of the true stems, linear amplitude; float32 ``(batch, stems, frames, bins, channels)``.
        estimates: As ``targets``.
        weighted: Weight each example by its target's mean magnitude (``weighted_L1_mask``).

    Returns:
        float32 ``(batch, stems)``.
    """
    errors = ops.mean(ops.abs(estimates - targets), axis=(2, 3, 4))
    return errors * ops.mean(targets, axis=(2, 3, 4)) if weighted else errors


def build_loss(config: ModelConfig) -> Callable[[Any, Any], Any]:
    """The training loss, `loss_type`: each example's stem losses summed, float32 ``(batch,)``."""

    def loss(targets: Any, estimates: Any) -> Any:
        return ops.sum(stem_losses(targets, estimates, weighted=config.loss_type == "weighted_L1_mask"), axis=1)

    return loss


def build_stem_metrics(config: ModelConfig) -> list[Any]:
    """Keras metrics, one per instrument, whose mean over a batch is that instrument's part of the loss."""
    import keras

    def metric(index: int) -> Callable[[Any, Any], Any]:
        def stem_loss(targets: Any, estimates: Any) -> Any:
            part = slice(index, index + 1)
            weighted = config.loss_type == "weighted_L1_mask"
            return stem_losses(targets[:, part], estimates[:, part], weighted=weighted)[:, 0]

        return stem_loss

    return [keras.metrics.MeanMetricWrapper(metric(i), name=f"stem_{i}") for i in range(len(config.instruments))]
