"""Shards that no config needs any more."""

from collections.abc import Collection
from pathlib import Path

from sepcore.dataset.cache.index_file import fingerprints_in, indexes_of
from sepcore.dataset.cache.shards import SHARD_NAME


def prune(folder: Path, needed_fingerprints: Collection[str], *, dry_run: bool) -> tuple[int, int]:
    """Remove the shards of a folder whose fingerprint is not needed, with the JSON files beside them.

    The indexes in ``indexes/`` that list such a shard go, too, without being counted. Other files, folders and links
    are left alone.

    Args:
        folder: Where the shards lie; a missing one has none.
        needed_fingerprints: Of all configs that cache there.
        dry_run: Only count.

    Returns:
        How many files and how many bytes went, or would go.
    """
    unneeded = [
        path
        for path in (sorted(folder.iterdir()) if folder.is_dir() else [])
        if (name := SHARD_NAME.fullmatch(path.name))
        and name["fingerprint"] not in needed_fingerprints
        and path.is_file()
        and not path.is_symlink()
    ]
    num_bytes = sum(path.stat().st_size for path in unneeded)
    if not dry_run:
        for index in indexes_of(folder):
            if not fingerprints_in(index) <= set(needed_fingerprints):
                index.unlink(missing_ok=True)
        for path in unneeded:  # ….json comes before ….parquet and ….tfrecord: no half of a shard looks complete
            path.unlink(missing_ok=True)
    return len(unneeded), num_bytes
