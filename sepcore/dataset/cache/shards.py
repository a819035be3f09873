"""Shards: one file of cached chunks a song, found again by the fingerprint in its name."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.chunks import Chunk, song_chunks
from sepcore.dataset.cache.plan import ShardPlan
from sepcore.dataset.cache.sidecar import ShardContent, read_content, sidecar_path, write_content
from sepcore.dataset.cache.tfrecord import write_tfrecord
from sepcore.errors import AudioDecodeError, CacheNotWritable, DatasetError
from sepcore.system.atomic import atomic_path
from sepcore.system.os_errors import fix_for, reason_of

SHARD_NAME = re.compile(r".+-(?P<fingerprint>[0-9a-f]{16})\.(?P<kind>tfrecord|parquet|json)")
"""What a shard and the JSON file beside it are called: song, fingerprint, format."""


@dataclass(frozen=True)
class ShardRef:
    """A shard that is complete.

    Attributes:
        path: The file; a JSON file of the same name beside it says where the chunks stand.
        fingerprint: Of what it was made from.
        num_chunks: Chunks in it.
        num_bytes: Its size.
        content: The plan's, see `of`; None as long as it is known by its file alone.
    """

    path: Path
    fingerprint: str
    num_chunks: int
    num_bytes: int
    content: str | None = None

    def of(self, plan: ShardPlan) -> Self:
        """The same as that of a plan, by which its content is known."""
        return replace(self, content=plan.content)


@dataclass(frozen=True)
class ChunkRecord:
    """Where one chunk stands, and what it is: a row of the index.

    Attributes:
        song: The song's name in its manifest.
        instruments: In the order in which they are stored, after the mixture.
        chunk: Place among the song's chunks, from 0; in a Parquet shard also the row group's.
        start_s: Where the chunk starts in the song, in seconds.
        length_s: Length in seconds.
        num_frames: STFT frames of each signal.
        min_db: Of the mixture and each instrument, what code 0 stands for (float16: the quietest bin).
        max_db: Likewise, what code 255 stands for (float16: the loudest bin).
        shard: File name of the shard.
        offset: First byte of its record or row group in the shard.
        num_bytes: Length of that, TFRecord's framing of 16 bytes included.
        checksum: CRC-32C of these bytes.
        fingerprint: Of the song's audio, the chunks' places and the settings.
    """

    song: str
    instruments: tuple[str, ...]
    chunk: int
    start_s: float
    length_s: float
    num_frames: int
    min_db: tuple[float, ...]
    max_db: tuple[float, ...]
    shard: str
    offset: int
    num_bytes: int
    checksum: int
    fingerprint: str


def find_shards(folder: Path) -> dict[str, ShardRef]:
    """The complete shards of a folder by their fingerprints, whatever song they are named after; {} of no folder."""
    try:
        with os.scandir(folder) as entries:
            names = {entry.name for entry in entries if SHARD_NAME.fullmatch(entry.name)}
    except FileNotFoundError:
        return {}
    found: dict[str, ShardRef] = {}
    for path in (folder / name for name in sorted(names)):
        if path.suffix != ".json" and sidecar_path(path).name in names and (shard := _complete_shard(path)):
            found.setdefault(shard.fingerprint, shard)
    return found


def write_shard(plan: ShardPlan, config: ModelConfig, folder: Path) -> ShardRef:
    """Cache the chunks of one song, unless it has been done under this name; `find_shards` knows the other names.

    The shard is a TFRecord or Parquet file (`cache_format`), see `write_tfrecord` and `write_parquet`. The same plan
    gives the same bytes. However the process ends, no part of a shard is taken for one.

    Args:
        plan: The song's files and chunks.
        config: Audio, STFT and chunk settings.
        folder: Where the shards lie; made if missing.

    Returns:
        The shard: without chunks if the song is shorter than a frame.

    Raises:
        DatasetError: a file that has changed since the plan was made, or has gone.
        CacheNotWritable: a shard that cannot be written.
        AudioDecodeError: a file that cannot be decoded.
    """
    path = folder / f"{_file_name(plan.song)}-{plan.fingerprint}.{config.cache_format}"
    if there := _complete_shard(path):
        return there
    _check_unchanged(plan)
    # Shard and JSON file are both written before either gets its name; the shard gets it first.
    with _faults_named(plan, path), atomic_path(sidecar_path(path)) as sidecar, atomic_path(path) as shard:
        content = _write(shard, plan, config)
        write_content(sidecar, content)
        _check_unchanged(plan)
    return ShardRef(path, plan.fingerprint, len(content.offset), content.num_bytes)


def _write(path: Path, plan: ShardPlan, config: ModelConfig) -> ShardContent:
    columns: dict[str, list[Any]] = {name: [] for name in ("start_s", "num_frames", "min_db", "max_db")}

    def noted_chunks() -> Iterator[Chunk]:
        with _read_errors_named(plan):
            for chunk in song_chunks(plan, config):
                columns["start_s"].append(chunk.start_s)
                columns["num_frames"].append(chunk.num_frames)
                columns["min_db"].append([signal.min_db for signal in chunk.signals])
                columns["max_db"].append([signal.max_db for signal in chunk.signals])
                yield chunk

    with path.open("w+b") as file:
        if config.cache_format == "tfrecord":
            ranges = write_tfrecord(file, noted_chunks(), config.instruments)
        else:
            from sepcore.dataset.cache.parquet_shard import write_parquet

            ranges = write_parquet(file, noted_chunks(), config.instruments, length_s=config.chunk_duration_s)
        file.flush()
        # What is beside the shard vouches for it, and must not reach the disk before it.
        os.fsync(file.fileno())
        num_bytes = file.tell()
    return ShardContent(
        fingerprint=plan.fingerprint,
        instruments=config.instruments,
        length_s=config.chunk_duration_s,
        num_bytes=num_bytes,
        offset=[stands.offset for stands in ranges],
        length=[stands.num_bytes for stands in ranges],
        checksum=[stands.checksum for stands in ranges],
        **columns,
    )


def _complete_shard(path: Path) -> ShardRef | None:
    content = read_content(path)
    if content is None or not path.stem.endswith(f"-{content.fingerprint}"):
        return None
    return ShardRef(path, content.fingerprint, len(content.offset), content.num_bytes)


def _check_unchanged(plan: ShardPlan) -> None:
    for file in plan.files:
        path, what = Path(file.path), f"{file.signal} of {plan.song!r}"
        if not path.is_file():
            hint = "Bring it back and run the command again."
            raise DatasetError(f"{what} has disappeared since it was checked", path=path, hint=hint)
        if not file.is_current():
            raise DatasetError(f"{what} has changed since it was checked", path=path, hint="Run the command again.")


def _file_name(song: str) -> str:
    # Any alphabet, but nothing that a file system or a shell minds; four bytes a character stay below its 255.
    return re.sub(r"[^\w.+-]+", "_", song).strip("._-")[:48] or "song"


@contextmanager
def _faults_named(plan: ShardPlan, path: Path) -> Iterator[None]:
    try:
        yield
    except AudioDecodeError:
        _check_unchanged(plan)  # which explains it better
        raise
    except OSError as error:
        hint = f"{fix_for(error)} and run the command again."
        problem = f"the shard cannot be written ({reason_of(error)})"
        raise CacheNotWritable(problem, path=path, hint=hint, errno=error.errno) from error


@contextmanager
def _read_errors_named(plan: ShardPlan) -> Iterator[None]:
    """Around what reads the song while its shard is written: its errors are no errors of the shard."""
    try:
        yield
    except OSError as error:
        raise AudioDecodeError(
            f"a recording of {plan.song!r} cannot be read ({reason_of(error)})",
            path=error.filename,
            hint=f"{fix_for(error, reading=True)} and run the command again.",
            errno=error.errno,
        ) from error
