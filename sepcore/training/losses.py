"""Losses of one batch and of a whole validation set; those of magnitude networks are Spleeter's."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from keras import ops

from sepcore.config.model_config import ModelConfig
from sepcore.config.training import LossType
from sepcore.training.complex_losses import StemLosses, complex_stem_losses

Batches = Iterable[tuple[Any, Any]]
"""Mixtures and their targets."""


def stem_losses(targets: Any, estimates: Any, loss_type: LossType) -> Any:
    """Error of a magnitude network for each example and stem, averaged over frames, bins and channels.

    Args:
        targets: Magnitudes of the true stems, linear amplitude; float32 ``(batch, stems, frames, bins, channels)``.
        estimates: As ``targets``.
        loss_type: ``L1_mask``: absolute error; ``weighted_L1_mask``: times the mean magnitude of the example's target;
            ``L2_mask``: squared error.

    Returns:
        float32 ``(batch, stems)``.
    """
    if loss_type == "L2_mask":
        return ops.mean(ops.square(estimates - targets), axis=(2, 3, 4))
    errors = ops.mean(ops.abs(estimates - targets), axis=(2, 3, 4))
    return errors * ops.mean(targets, axis=(2, 3, 4)) if loss_type == "weighted_L1_mask" else errors


def _stem_losses_of(config: ModelConfig) -> StemLosses:
    if config.model.domain == "complex":
        return complex_stem_losses(config)
    return lambda targets, estimates: stem_losses(targets, estimates, config.loss_type)


def build_loss(config: ModelConfig) -> Callable[[Any, Any], Any]:
    """The training loss, `loss_type`: each example's stem losses summed, float32 ``(batch,)``."""
    losses = _stem_losses_of(config)

    def loss(targets: Any, estimates: Any) -> Any:
        return ops.sum(losses(targets, estimates), axis=1)

    return loss


def build_stem_metrics(config: ModelConfig) -> list[Any]:
    """Keras metrics, one per instrument, whose mean over a batch is that instrument's part of the loss."""
    import keras

    losses = _stem_losses_of(config)

    def metric(index: int) -> Callable[[Any, Any], Any]:
        def stem_loss(targets: Any, estimates: Any) -> Any:
            part = slice(index, index + 1)
            return losses(targets[:, part], estimates[:, part])[:, 0]

        return stem_loss

    return [keras.metrics.MeanMetricWrapper(metric(i), name=f"stem_{i}") for i in range(len(config.instruments))]


def losses_by_name(config: ModelConfig, logs: Mapping[str, Any]) -> dict[str, float]:
    """``loss`` and ``loss_<instrument>`` of what Keras gives for a batch."""
    named = {"loss": float(logs["loss"])}
    return named | {f"loss_{name}": float(logs[f"stem_{i}"]) for i, name in enumerate(config.instruments)}


def validate(network: Any, config: ModelConfig, batches: Batches) -> dict[str, float]:
    """Losses over a validation set, each example counting the same; empty if the set is."""
    totals: defaultdict[str, float] = defaultdict(float)
    num_examples = 0
    for mixture, targets in batches:
        # Keras forgets the batches before at each call; so the mean over all is taken here.
        losses = losses_by_name(config, network.test_on_batch(mixture, targets, return_dict=True))
        for name, loss in losses.items():
            totals[name] += loss * len(mixture)
        num_examples += len(mixture)
    return {f"validation_{name}": total / num_examples for name, total in totals.items()}
