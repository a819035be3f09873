"""Shards: a file of cached chunks for each song, found by the fingerprint in its name.

The JSON file beside a shard says where its chunks are. It is written last: a shard without it is incomplete.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import google_crc32c

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.chunks import Chunk, Signals, song_chunks
from sepcore.dataset.cache.index import CHUNK_COLUMNS, LENGTH_COLUMN, SHARD_COLUMNS
from sepcore.dataset.cache.parquet import looks_like_parquet_shard, write_parquet
from sepcore.dataset.cache.pcm import SAMPLE_BYTES, PcmSignal, block_checksums
from sepcore.dataset.cache.plan import ShardPlan
from sepcore.dataset.cache.tfrecord import looks_like_tfrecord, write_tfrecord
from sepcore.errors import AudioDecodeError, CacheNotWritable, DatasetError
from sepcore.system.atomic import atomic_path
from sepcore.system.os_errors import fix_for, reason_of

SHARD_NAME = re.compile(r".+-(?P<fingerprint>[0-9a-f]{16})\.(?P<kind>tfrecord|parquet|json)")
"""The name of a shard and of the JSON file beside it: song, fingerprint, format."""
# In the JSON file, `num_bytes` is the size of the shard and `length` that of a chunk.
_JSON_KEYS = {"num_bytes": "length"}
# The JSON file ends with the CRC-32C of all before it; those of earlier versions, which held no PCM, have none.
_CHECKSUM = re.compile(r',"crc32c":(\d+)\}')


@dataclass(frozen=True)
class Shard:
    """A complete shard."""

    path: Path
    fingerprint: str  # of what it was made from
    num_chunks: int
    size: int  # in bytes
    content: str | None = None  # `ShardPlan.content`; None if the plan is not known, see `of`

    def of(self, plan: ShardPlan) -> Self:
        """This shard with the content of its plan."""
        return replace(self, content=plan.content)


def find_shards(folder: Path) -> dict[str, Shard]:
    """The complete shards of a folder by fingerprint; {} if there is no folder."""
    found: dict[str, Shard] = {}
    for shard in all_shards(folder):
        found.setdefault(shard.fingerprint, shard)
    return found


def all_shards(folder: Path) -> Iterator[Shard]:
    """The complete shards of a folder, also those that hold the same."""
    try:
        with os.scandir(folder) as entries:
            names = {entry.name for entry in entries if SHARD_NAME.fullmatch(entry.name)}
    except FileNotFoundError:
        return
    for path in (folder / name for name in sorted(names)):
        if path.suffix != ".json" and sidecar_path(path).name in names and (shard := _complete_shard(path)):
            yield shard


def is_of_shard(path: Path) -> bool:
    """Whether a file that is called like a shard, or like the JSON file of one, is one."""
    name = SHARD_NAME.fullmatch(path.name)
    try:
        if name is None:
            return False
        if name["kind"] == "json":
            described = json.loads(path.read_text("utf-8"))
            return isinstance(described, dict) and described.get("fingerprint") == name["fingerprint"]
        if is_of_shard(sidecar_path(path)):
            return True
        # One whose writing was broken off before it had its JSON file.
        return looks_like_parquet_shard(path) if name["kind"] == "parquet" else looks_like_tfrecord(path)
    except (OSError, ValueError):
        return False


def write_shard(plan: ShardPlan, config: ModelConfig, folder: Path) -> Shard:
    """Cache the chunks of one song, unless there is a shard of this name; `find_shards` finds those of other names.

    The shard is a TFRecord or Parquet file (`cache_format`), see `write_tfrecord` and `write_parquet`. The same plan
    gives the same bytes. If the process is killed, a partial shard is never taken for a complete one.

    Args:
        plan: The song's files and chunks.
        config: Audio, STFT and chunk settings.
        folder: Folder of the shards; made if missing.

    Returns:
        The shard, without chunks if the song is shorter than a frame.

    Raises:
        DatasetError: a file has changed since the plan was made, or is gone.
        CacheNotWritable: the shard cannot be written.
        AudioDecodeError: a file cannot be decoded.
    """
    path = folder / f"{_file_name(plan.song)}-{plan.fingerprint}.{config.cache_format}"
    if there := _complete_shard(path):
        return there
    _check_unchanged(plan)
    # Both files are written before either gets its name; the shard gets its name first.
    with writing(path), atomic_path(sidecar_path(path)) as sidecar, atomic_path(path) as shard:
        columns = _write(shard, plan, config)
        _write_columns(sidecar, columns)
        _check_unchanged(plan)
    return Shard(path, plan.fingerprint, len(columns["offset"]), columns["size"])


def sidecar_path(shard: Path) -> Path:
    """The JSON file that belongs to a shard."""
    return shard.with_suffix(".json")


def read_columns(shard: Path) -> dict[str, Any] | None:
    """A shard's ``size`` in bytes, a value for each of the `SHARD_COLUMNS` and a list for each of the `CHUNK_COLUMNS`.

    These are the columns of spectrograms or of waveforms, whichever the shard holds.
    None if the shard is missing or incomplete, or has no JSON file that describes it, undamaged.
    """
    try:
        written = sidecar_path(shard).read_text("utf-8")
        described = json.loads(written)
        columns = {"size": described["num_bytes"]} | {name: described[name] for name in SHARD_COLUMNS}
        content = "waveform" if LENGTH_COLUMN["waveform"] in described else "spectrogram"
        columns |= {name: described[_JSON_KEYS.get(name, name)] for name in CHUNK_COLUMNS[content]}
        if "crc32c" in described or content == "waveform":
            end = written.rindex(',"crc32c":')
            if _CHECKSUM.fullmatch(written[end:]) is None or described["crc32c"] != _crc(written[:end]):
                return None
        return columns if shard.stat().st_size == columns["size"] else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _write_columns(path: Path, columns: Mapping[str, Any]) -> None:
    described = {name: columns[name] for name in SHARD_COLUMNS} | {"num_bytes": columns["size"]}
    of_chunks = (name for name in columns if name not in SHARD_COLUMNS and name != "size")
    described |= {_JSON_KEYS.get(name, name): columns[name] for name in of_chunks}
    written = json.dumps(described, separators=(",", ":"))[:-1]
    path.write_text(f'{written},"crc32c":{_crc(written)}}}', "utf-8")


def _crc(text: str) -> int:
    checksum: int = google_crc32c.value(text.encode())
    return checksum


def _write(path: Path, plan: ShardPlan, config: ModelConfig) -> dict[str, Any]:
    """Write the shard's file, and return its columns as `read_columns` does."""
    content = config.cache_content
    columns: dict[str, Any] = {name: [] for name in CHUNK_COLUMNS[content]}

    def noted_chunks() -> Iterator[Chunk]:
        with _read_errors_named(plan):
            for chunk in song_chunks(plan, config):
                described: dict[str, Any] = {"start_s": chunk.start_s, LENGTH_COLUMN[content]: chunk.length}
                if content == "waveform":
                    described["residual_db"] = chunk.residual_db
                    described["levels_db"] = [s.levels_db for s in chunk.signals if isinstance(s, PcmSignal)]
                for name, value in (described | signal_columns(chunk.signals)).items():
                    columns[name].append(value)
                yield chunk

    with path.open("w+b") as file:
        if config.cache_format == "tfrecord":
            places = write_tfrecord(file, noted_chunks(), config.instruments)
        else:
            places = write_parquet(file, noted_chunks(), config)
        file.flush()
        # The JSON file marks the shard as complete and must not reach the disk before it.
        os.fsync(file.fileno())
        columns["size"] = file.tell()
    columns |= {name: [getattr(place, name) for place in places] for name in ("offset", "num_bytes", "checksum")}
    if content == "waveform":
        columns["pcm_offset"] = [place.pcm_offsets for place in places]
    shared = (plan.fingerprint, config.instruments, config.chunk_duration_s)
    return columns | dict(zip(SHARD_COLUMNS, shared, strict=True))


def signal_columns(signals: Signals) -> dict[str, list[Any]]:
    """The columns that a chunk's signals in its shard decide, all but their places; a value for each signal."""
    columns: dict[str, list[Any]] = {}
    for signal in signals:
        if isinstance(signal, PcmSignal):
            of_signal: dict[str, Any] = {
                "scale": signal.scale,
                "sample_bytes": SAMPLE_BYTES[signal.dtype],
                "block_checksums": block_checksums(signal),
            }
        else:
            of_signal = {"min_db": signal.min_db, "max_db": signal.max_db}
        for name, value in of_signal.items():
            columns.setdefault(name, []).append(value)
    return columns


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
    # Any alphabet, but nothing that confuses a file system or a shell; at most four bytes a character, so below 255.
    return re.sub(r"[^\w.+-]+", "_", song).strip("._-")[:48] or "song"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise CacheNotWritable if a file cannot be written in this context."""
    try:
        yield
    except OSError as error:
        hint, problem = f"{fix_for(error)} and run the command again.", f"cannot be written ({reason_of(error)})"
        raise CacheNotWritable(problem, path=path, hint=hint, errno=error.errno) from error


@contextmanager
def _read_errors_named(plan: ShardPlan) -> Iterator[None]:
    """Tell the errors of reading a song from those of writing its shard, which is done at the same time."""
    try:
        yield
    except AudioDecodeError:
        _check_unchanged(plan)  # if a file has changed, that explains it better
        raise
    except OSError as error:
        _check_unchanged(plan)
        problem = f"a recording of {plan.song!r} cannot be read ({reason_of(error)})"
        hint = f"{fix_for(error, reading=True)} and run the command again."
        raise AudioDecodeError(problem, path=error.filename, hint=hint, errno=error.errno) from error
