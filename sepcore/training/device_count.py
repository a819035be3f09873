"""How many devices a training uses, of those that there are."""

import logging

from sepcore.config.model_config import ModelConfig
from sepcore.errors import TrainingError

_logger = logging.getLogger(__name__)


def device_count(config: ModelConfig, num_gpus: int) -> int:
    """Devices that share a batch: `num_devices`, or all GPUs that can have equal parts of it, or the CPU.

    Without a GPU, more than one device means virtual ones of the CPU: no faster, but the same computation.

    Args:
        config: What to train.
        num_gpus: GPUs that Keras' backend sees.

    Raises:
        TrainingError: if there are GPUs, but fewer than asked for.
    """
    if config.num_devices:
        if 0 < num_gpus < config.num_devices:
            raise TrainingError(
                f"num_devices is {config.num_devices}, but only {num_gpus} GPU{'s are' if num_gpus > 1 else ' is'} "
                "visible",
                hint=f"Set num_devices to {num_gpus}, or check nvidia-smi and CUDA_VISIBLE_DEVICES.",
            )
        return config.num_devices
    count = max(n for n in range(1, max(num_gpus, 1) + 1) if config.batch_size % n == 0)
    if count < num_gpus:
        _logger.warning(
            "%d of %d GPUs are used: batch_size %d is no multiple of more; try %d",
            count,
            num_gpus,
            config.batch_size,
            num_gpus * -(-config.batch_size // num_gpus),
        )
    return count
