"""Where the examples of a training batch come from, in words."""

from sepcore.config import ModelConfig
from sepcore.dataset.batches import training_crops
from sepcore.dataset.cache.index import ChunkIndex


def batch_places(index: ChunkIndex, config: ModelConfig, step: int) -> list[str]:
    """Song and offset of each example of one step's batch, ``"Artist - Title at 12.3 s"``.

    Args:
        index: The training chunks.
        config: Batch size, seed and lengths.
        step: Steps done before it, >= 0.

    Returns:
        As many as there are examples. With the augmentation ``remix``, an example may have stems of other songs too.
    """
    crops = training_crops(index, config, first_example=step * config.batch_size).take(config.batch_size)
    places = []
    for _, chunk, first_frame in crops.as_numpy_iterator():
        record = index.record(int(chunk))
        offset_s = record.start_s + int(first_frame) * config.hop_length / config.sample_rate
        places.append(f"{record.song} at {offset_s:.1f} s")
    return places
