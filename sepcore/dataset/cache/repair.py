"""Shards that are damaged, found by their checksums and removed, so that the next caching writes them again."""

from collections.abc import Iterator
from pathlib import Path

from sepcore.dataset.cache.byte_range import ByteRange
from sepcore.dataset.cache.shards import find_shards
from sepcore.dataset.cache.sidecar import ShardContent, read_content, sidecar_path


def remove_damaged_shards(folder: Path) -> Iterator[str]:
    """Read every chunk of a folder's shards, and remove the shards that have a damaged one.

    Args:
        folder: Where the shards lie.

    Yields:
        A line for each shard that is removed, with the damaged chunks' numbers.
    """
    for shard in find_shards(folder).values():
        content = read_content(shard.path)
        assert content is not None  # find_shards has read it
        if damaged := _damaged_chunks(shard.path, content):
            # Its description first: without it the shard does not count as complete.
            sidecar_path(shard.path).unlink()
            shard.path.unlink()
            yield f"{shard.path}: chunk(s) {', '.join(map(str, damaged))} damaged; removed, and cached again if needed"


def _damaged_chunks(path: Path, content: ShardContent) -> list[int]:
    ranges = map(ByteRange, content.offset, content.length, content.checksum)
    with path.open("rb") as file:
        return [number for number, chunk in enumerate(ranges) if chunk.read_from(file) is None]
