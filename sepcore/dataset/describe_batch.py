"""Where the examples of a training batch come from, in words."""

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.index import ChunkIndex
from sepcore.dataset.examples import TrainingExamples


def describe_batch(index: ChunkIndex, config: ModelConfig, step: int) -> list[str]:
    """Song and offset of each example of one step's batch, ``"Artist - Title at 12.3 s"``.

    Args:
        index: The training chunks.
        config: Batch size, seed and lengths.
        step: Steps done before it, >= 0.

    Returns:
        As many as there are examples. With the augmentation ``remix``, an example may have stems of other songs too.
    """
    examples = TrainingExamples(index, config)
    places = []
    for place in range(config.batch_size):
        chunk, first_frame = examples.crop(step, place)
        record = index.record(chunk)
        offset_s = record.start_s + first_frame * config.hop_length / config.sample_rate
        places.append(f"{record.song} at {offset_s:.1f} s")
    return places
