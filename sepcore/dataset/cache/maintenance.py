"""Upkeep of a folder of shards: locking, removing damaged and unneeded shards."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sepcore.dataset.cache.build_index import fingerprints_in, indexes_of
from sepcore.dataset.cache.byte_range import ByteRange
from sepcore.dataset.cache.chunk_reader import DamagedChunk, verified_signals
from sepcore.dataset.cache.pcm import PcmSignal
from sepcore.dataset.cache.shards import SHARD_NAME, all_shards, is_of_shard, read_columns, sidecar_path, signal_columns
from sepcore.errors import CacheNotWritable
from sepcore.system.locks import locked
from sepcore.system.os_errors import fix_for, reason_of


@contextmanager
def lock_cache(folder: Path) -> Iterator[None]:
    """Lock the folder of a cache, which is made if missing; wait for a process that holds it, and name it.

    Raises:
        CacheNotWritable: the folder or its lock cannot be made.
    """
    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(locked(folder / ".lock", f"caching songs in {folder}"))
        except OSError as error:
            problem = f"cannot be written to ({reason_of(error)}), and does not hold all of these songs yet"
            hint = f"{fix_for(error)}, or set training_cache and validation_cache to other folders."
            raise CacheNotWritable(problem, path=folder, hint=hint, errno=error.errno) from error
        yield


def remove_damaged_shards(folder: Path) -> Iterator[str]:
    """Verify every chunk in a folder, and remove the shards with damaged chunks; yields a line about each of these."""
    for shard in all_shards(folder):
        if damaged := _damaged_chunks(shard.path):
            # The JSON file first: without it the shard is incomplete.
            sidecar_path(shard.path).unlink()
            shard.path.unlink()
            yield f"{shard.path}: chunk(s) {', '.join(map(str, damaged))} damaged; removed, and cached again if needed"


def _damaged_chunks(shard: Path) -> list[int]:
    columns = read_columns(shard)
    assert columns is not None  # find_shards has read them
    ranges = map(ByteRange, columns["offset"], columns["num_bytes"], columns["checksum"])
    return [number for number, where in enumerate(ranges) if not _is_whole(shard, columns, number, where)]


def _is_whole(shard: Path, columns: Mapping[str, Any], number: int, where: ByteRange) -> bool:
    """Whether a chunk is as it was written, and of waveforms also as the JSON file, by which it is read, says."""
    try:
        signals = verified_signals(shard, where, number, columns["instruments"])
    except DamagedChunk:
        return False
    if "pcm_offset" not in columns:
        return True
    with shard.open("rb") as file:
        for signal, offset in zip(signals, columns["pcm_offset"][number], strict=True):
            file.seek(offset)
            if isinstance(signal, PcmSignal) and file.read(len(signal.codes)) != signal.codes:
                return False
    found = signal_columns(signals) | {"num_samples": len(signals[0])}
    return all(columns[name][number] == value for name, value in found.items())


def prune(folder: Path, needed_fingerprints: Collection[str], *, dry_run: bool) -> tuple[int, int]:
    """Remove the shards (and their JSON files) whose fingerprint is not needed, and count the files and bytes.

    The indexes in ``indexes/`` that list such a shard are removed too, but not counted. Other files, folders and links
    are left alone, also those that are only called like a shard. With ``dry_run``, nothing is removed.
    """
    unneeded = [
        path
        for path in (sorted(folder.iterdir()) if folder.is_dir() else [])
        if (name := SHARD_NAME.fullmatch(path.name))
        and name["fingerprint"] not in needed_fingerprints
        and path.is_file()
        and not path.is_symlink()
        and is_of_shard(path)
    ]
    num_bytes = sum(path.stat().st_size for path in unneeded)
    if not dry_run:
        for index in indexes_of(folder):
            if not fingerprints_in(index) <= set(needed_fingerprints):
                index.unlink(missing_ok=True)
        for path in unneeded:  # ….json comes before ….parquet and ….tfrecord: no half of a shard looks complete
            path.unlink(missing_ok=True)
    return len(unneeded), num_bytes
