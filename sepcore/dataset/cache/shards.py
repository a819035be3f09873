"""Shards: one file of cached chunks a song, found again by the fingerprint in its name.

The JSON file beside a shard says where its chunks are. It is written last: a shard without it is not complete.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.chunks import Chunk, song_chunks
from sepcore.dataset.cache.index import CHUNK_COLUMNS, SHARD_COLUMNS
from sepcore.dataset.cache.plan import ShardPlan
from sepcore.dataset.cache.shard_formats import write_parquet, write_tfrecord
from sepcore.errors import AudioDecodeError, CacheNotWritable, DatasetError
from sepcore.system.atomic import atomic_path
from sepcore.system.os_errors import fix_for, reason_of

SHARD_NAME = re.compile(r".+-(?P<fingerprint>[0-9a-f]{16})\.(?P<kind>tfrecord|parquet|json)")
"""What a shard and the JSON file beside it are called: song, fingerprint, format."""
# In the JSON file `num_bytes` is the size of the shard, and `length` what is `num_bytes` everywhere else.
_JSON_KEYS = {name: "length" if name == "num_bytes" else name for name in CHUNK_COLUMNS}


@dataclass(frozen=True)
class Shard:
    """A shard that is complete.

    Attributes:
        path: The file.
        fingerprint: Of what it was made from.
        num_chunks: Chunks in it.
        size: In bytes.
        content: The plan's, see `of`; None as long as only the file is known.
    """

    path: Path
    fingerprint: str
    num_chunks: int
    size: int
    content: str | None = None

    def of(self, plan: ShardPlan) -> Self:
        """The same shard with the content of its plan."""
        return replace(self, content=plan.content)


def find_shards(folder: Path) -> dict[str, Shard]:
    """The complete shards of a folder by fingerprint, whatever song they are named after; {} if there is no folder."""
    try:
        with os.scandir(folder) as entries:
            names = {entry.name for entry in entries if SHARD_NAME.fullmatch(entry.name)}
    except FileNotFoundError:
        return {}
    found: dict[str, Shard] = {}
    for path in (folder / name for name in sorted(names)):
        if path.suffix != ".json" and sidecar_path(path).name in names and (shard := _complete_shard(path)):
            found.setdefault(shard.fingerprint, shard)
    return found


def write_shard(plan: ShardPlan, config: ModelConfig, folder: Path) -> Shard:
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
    # Both files are written before either gets its name; the shard gets it first.
    with _faults_named(plan, path), atomic_path(sidecar_path(path)) as sidecar, atomic_path(path) as shard:
        columns = _write(shard, plan, config)
        _write_columns(sidecar, columns)
        _check_unchanged(plan)
    return Shard(path, plan.fingerprint, len(columns["offset"]), columns["size"])


def sidecar_path(shard: Path) -> Path:
    """The JSON file that belongs to a shard."""
    return shard.with_suffix(".json")


def read_columns(shard: Path) -> dict[str, Any] | None:
    """What a shard holds: a value for each of the `SHARD_COLUMNS`, a list for each of the `CHUNK_COLUMNS`.

    And its ``size`` in bytes. None if the shard is missing or incomplete, or has no JSON file that describes it.
    """
    try:
        described = json.loads(sidecar_path(shard).read_text("utf-8"))
        columns = {"size": described["num_bytes"]} | {name: described[name] for name in SHARD_COLUMNS}
        columns |= {name: described[key] for name, key in _JSON_KEYS.items()}
        return columns if shard.stat().st_size == columns["size"] else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _write_columns(path: Path, columns: Mapping[str, Any]) -> None:
    described = {name: columns[name] for name in SHARD_COLUMNS} | {"num_bytes": columns["size"]}
    described |= {key: columns[name] for name, key in _JSON_KEYS.items()}
    path.write_text(json.dumps(described, separators=(",", ":")), "utf-8")


def _write(path: Path, plan: ShardPlan, config: ModelConfig) -> dict[str, Any]:
    """Write the shard's file; its columns, as `read_columns` gives them."""
    columns: dict[str, Any] = {name: [] for name in CHUNK_COLUMNS}

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
            places = write_tfrecord(file, noted_chunks(), config.instruments)
        else:
            places = write_parquet(file, noted_chunks(), config.instruments, length_s=config.chunk_duration_s)
        file.flush()
        # The JSON file vouches for the shard and must not reach the disk before it.
        os.fsync(file.fileno())
        columns["size"] = file.tell()
    columns |= {name: [getattr(place, name) for place in places] for name in ("offset", "num_bytes", "checksum")}
    shared = (plan.fingerprint, config.instruments, config.chunk_duration_s)
    return columns | dict(zip(SHARD_COLUMNS, shared, strict=True))


def _complete_shard(path: Path) -> Shard | None:
    columns = read_columns(path)
    if columns is None or not path.stem.endswith(f"-{columns['fingerprint']}"):
        return None
    return Shard(path, columns["fingerprint"], len(columns["offset"]), columns["size"])


def _check_unchanged(plan: ShardPlan) -> None:
    for file in plan.files:
        path, what = Path(file.path), f"{file.signal} of {plan.song!r}"
        if not path.is_file():
            hint = "Bring it back and run the command again."
            raise DatasetError(f"{what} has disappeared since it was checked", path=path, hint=hint)
        if not file.is_current():
            raise DatasetError(f"{what} has changed since it was checked", path=path, hint="Run the command again.")


def _file_name(song: str) -> str:
    # Any alphabet, but nothing that confuses a file system or a shell; at four bytes a character, below 255 bytes.
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
    """Errors of reading the song, which happen while its shard is written, are not reported as the shard's."""
    try:
        yield
    except OSError as error:
        raise AudioDecodeError(
            f"a recording of {plan.song!r} cannot be read ({reason_of(error)})",
            path=error.filename,
            hint=f"{fix_for(error, reading=True)} and run the command again.",
            errno=error.errno,
        ) from error
