"""Shards: one TFRecord file of cached chunks a song."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path

from sepcore.atomic import atomic_path, write_text
from sepcore.config import ModelConfig
from sepcore.dataset.cache.chunks import Chunk, compute_chunks
from sepcore.dataset.cache.fingerprint import song_fingerprint
from sepcore.dataset.manifest import TrackRow
from sepcore.errors import DatasetError

# TFRecord puts the length (8 bytes) and its checksum (4) in front of the content and its checksum (4) behind it.
_FRAMING_BYTES = 16
_CHECKSUM_BYTES = 4


@dataclass(frozen=True)
class ChunkRecord:
    """Where one chunk stands, and what it is: a row of the index.

    Attributes:
        song: The song's name in its manifest.
        instruments: In the order in which they are stored, after the mixture.
        chunk: Place among the song's chunks, from 0.
        start_s: Where the chunk starts in the song, in seconds.
        length_s: Length in seconds.
        num_frames: STFT frames of each signal.
        min_db: What code 0 stands for, of the mixture and each instrument.
        max_db: What code 255 stands for.
        shard: File name of the shard.
        offset: First byte of its record in the shard.
        num_bytes: Length of the record, TFRecord's framing of 16 bytes included.
        checksum: The record's own: TFRecord's masked CRC-32C of the `tf.train.Example`.
        fingerprint: Of the song's audio and the settings, see `song_fingerprint`.
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


@dataclass(frozen=True)
class ShardRef:
    """A shard that is complete.

    Attributes:
        song: The song's name in its manifest.
        path: The TRFecord file; a JSON file of the same name beside it holds its rows of the index.
        num_chunks: Chunks in it.
        num_dropped: Chunks that were too short to be kept.
        reused: Whether it was there already.
    """

    song: str
    path: Path
    num_chunks: int
    num_dropped: int
    reused: bool


def write_shard(row: TrackRow, config: ModelConfig, folder: Path, *, num_chunks: int) -> ShardRef:
    """Cache the chunks of one song, unless a complete shard of the same audio and settings is there.

    Each chunk is a `tf.train.Example` with the names of its ``signals`` (mixture first), their uint8 ``codes``, one
    string each, the ``shape`` (frames, bins, channels) of them, and ``min_db`` and ``max_db`` of each. The same input
    gives the same bytes.

    Args:
        row: The song.
        config: Audio, STFT and chunk settings.
        folder: Where the shards lie; made if missing.
        num_chunks: Chunks of the song.

    Returns:
        The shard: without chunks if the song is too short for any.

    Raises:
        DatasetError: a file that does not have the config's number of channels; a shard that cannot be written.
        AudioDecodeError: a file that cannot be decoded.
    """
    fingerprint = song_fingerprint(row, config, num_chunks=num_chunks)
    path = folder / f"{_file_name(row.name)}-{fingerprint}.tfrecord"
    records = _complete_records(path)
    reused = records is not None
    if records is None:
        chunks = compute_chunks(row, config, num_chunks=num_chunks)
        records = _write(path, row, chunks, config, fingerprint)
    return ShardRef(row.name, path, len(records), num_chunks - len(records), reused)


def read_records(shard: ShardRef) -> list[ChunkRecord]:
    """The rows of the index that belong to a shard; DatasetError if the shard is not there any more."""
    records = _complete_records(shard.path)
    if records is None:
        raise DatasetError(f"{shard.path}: the shard is missing or incomplete; cache the songs again.")
    return records


def _file_name(song: str) -> str:
    # Any alphabet, but nothing that a file system or a shell minds; four bytes a character stay below its 255.
    return re.sub(r"[^\w.+-]+", "_", song).strip("._-")[:48] or "song"


def _complete_records(path: Path) -> list[ChunkRecord] | None:
    """The shard's rows; None if it is not there whole. The JSON file is written last, and knows the shard's size."""
    try:
        written = json.loads(path.with_suffix(".json").read_text("utf-8"))
        if path.stat().st_size != written["num_bytes"]:
            return None
        return [record_from_fields(fields) for fields in written["chunks"]]
    except (OSError, json.JSONDecodeError):
        return None


def record_from_fields(fields: dict[str, object]) -> ChunkRecord:
    """A record from JSON or Parquet, where its tuples are lists."""
    return ChunkRecord(**{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()})  # type: ignore[arg-type]


def _write(
    path: Path, row: TrackRow, chunks: Sequence[Chunk], config: ModelConfig, fingerprint: str
) -> list[ChunkRecord]:
    import tensorflow as tf

    try:
        with atomic_path(path) as temporary:
            lengths = []
            with tf.io.TFRecordWriter(str(temporary)) as writer:
                for chunk in chunks:
                    example = _example(chunk, (config.mix_name, *config.instruments))
                    writer.write(example)
                    lengths.append(len(example) + _FRAMING_BYTES)
            offsets = list(accumulate(lengths, initial=0))
            written = temporary.stat().st_size
            if written != offsets[-1]:
                raise OSError(f"{written} of {offsets[-1]} bytes were written")
            checksums = _read_checksums(temporary, offsets[1:])
        records = [
            ChunkRecord(
                song=row.name,
                instruments=config.instruments,
                chunk=chunk.number,
                start_s=chunk.start_s,
                length_s=config.chunk_duration_s,
                num_frames=chunk.num_frames,
                min_db=tuple(signal.min_db for signal in chunk.signals),
                max_db=tuple(signal.max_db for signal in chunk.signals),
                shard=path.name,
                offset=offset,
                num_bytes=num_bytes,
                checksum=checksum,
                fingerprint=fingerprint,
            )
            for chunk, offset, num_bytes, checksum in zip(chunks, offsets[:-1], lengths, checksums, strict=True)
        ]
        content = {"num_bytes": written, "chunks": [asdict(record) for record in records]}
        write_text(path.with_suffix(".json"), json.dumps(content))
    except (tf.errors.OpError, OSError) as error:
        raise DatasetError(f"{path}: the shard cannot be written ({error}); is the disk full?") from error
    return records


def _read_checksums(path: Path, ends: Sequence[int]) -> list[int]:
    """What the writer put behind each record."""
    checksums = []
    with path.open("rb") as file:
        for end in ends:
            file.seek(end - _CHECKSUM_BYTES)
            checksums.append(int.from_bytes(file.read(_CHECKSUM_BYTES), "little"))
    return checksums


def _example(chunk: Chunk, signal_names: Sequence[str]) -> bytes:
    from tensorflow.train import BytesList, Example, Feature, Features, FloatList, Int64List

    features = {
        "signals": Feature(bytes_list=BytesList(value=[name.encode() for name in signal_names])),
        "codes": Feature(bytes_list=BytesList(value=[signal.codes.tobytes() for signal in chunk.signals])),
        "shape": Feature(int64_list=Int64List(value=chunk.signals[0].codes.shape)),
        "min_db": Feature(float_list=FloatList(value=[signal.min_db for signal in chunk.signals])),
        "max_db": Feature(float_list=FloatList(value=[signal.max_db for signal in chunk.signals])),
    }
    # Protocol buffers promise no order of a map's keys otherwise.
    serialised: bytes = Example(features=Features(feature=features)).SerializeToString(deterministic=True)
    return serialised
