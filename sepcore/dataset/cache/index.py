"""The Parquet index of cached songs: a row for each chunk. There may be millions, so it is read as columns."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.pcm_index import PCM_COLUMNS, PcmIndex
from sepcore.dataset.cache.plan import index_settings
from sepcore.errors import DatasetError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

INDEX_NAME = "index.parquet"
"""The copy of the latest index, for people and their tools."""
INDEX_FOLDER = "indexes"
"""The folder of all indexes, beside the shards."""
SUMMARY_KEY = "stemworks"
"""The entry in an index's metadata that holds the settings, counts, key and fingerprint."""
_SUMMARY_CRC_KEY = "stemworks_crc32c"
SHARD_COLUMNS = ("fingerprint", "instruments", "length_s")
"""The columns that are equal for all chunks of a shard."""
LENGTH_COLUMN = {"spectrogram": "num_frames", "waveform": "num_samples"}
"""The column with the length of a chunk, by the content of the shards."""
_PLACE_COLUMNS = ("offset", "num_bytes", "checksum")
CHUNK_COLUMNS = {
    "spectrogram": ("start_s", "num_frames", "min_db", "max_db", *_PLACE_COLUMNS),
    "waveform": ("start_s", "num_samples", *PCM_COLUMNS, "residual_db", *_PLACE_COLUMNS),
}
"""The columns that differ from chunk to chunk, by the content of the shards."""


@cache
def chunk_schema(content: str) -> "pa.Schema":
    """The columns of an index of ``spectrogram`` or ``waveform`` shards."""
    import pyarrow as pa

    name = pa.dictionary(pa.int32(), pa.string())
    of_content = {
        "spectrogram": [
            ("num_frames", pa.int32()),  # STFT frames of each signal
            ("min_db", pa.list_(pa.float32())),  # of each signal: the value of code 0 (float16: the quietest bin)
            ("max_db", pa.list_(pa.float32())),  # of each signal: the value of code 255 (float16: the loudest bin)
        ],
        "waveform": [
            ("num_samples", pa.int32()),  # of each signal, per channel
            ("scale", pa.list_(pa.float32())),  # of each signal: the value of full scale, 1 or above
            ("sample_bytes", pa.list_(pa.uint8())),  # of each signal: 2 or 3
            ("pcm_offset", pa.list_(pa.int64())),  # of each signal: its first byte in the shard
            # Of each signal: CRC-32C of each 2^14 samples, and the RMS of each second in dB relative to full scale.
            ("block_checksums", pa.list_(pa.list_(pa.uint32()))),
            ("levels_db", pa.list_(pa.list_(pa.float32()))),
            # RMS of the mixture minus the sum of the stems, in dB relative to full scale.
            ("residual_db", pa.float32()),
        ],
    }
    return pa.schema(
        [
            ("song", name),  # in the manifest
            ("instruments", pa.list_(pa.string())),  # in the order in which they are stored, after the mixture
            ("chunk", pa.int32()),  # place among the song's chunks, from 0; in a Parquet shard also the row group
            ("start_s", pa.float64()),  # where the chunk starts in the song, in seconds
            ("length_s", pa.float64()),  # of a chunk, in seconds; one at the song's end is shorter
            *of_content[content],
            ("shard", name),  # file name
            ("offset", pa.int64()),  # first byte of the chunk's record or row group in the shard
            ("num_bytes", pa.int64()),  # its length, including TFRecord's framing of 16 bytes
            ("checksum", pa.uint32()),  # CRC-32C of these bytes
            ("fingerprint", name),  # of the song's audio, the chunks' places and the settings
        ]
    )


@dataclass(frozen=True, eq=False)
class ChunkIndex:
    """The chunks of one data set, at least one, by song and by place in it. Arrays have an item for each chunk."""

    path: Path  # the index's file
    folder: Path  # the folder of the shards
    shards: tuple[str, ...]  # their file names; songs with the same recordings share one
    shard: NDArray[np.int32]  # number of the chunk's shard among `shards`, int32
    # From here on, the columns of these names, see `chunk_schema`.
    chunk: NDArray[np.int32]
    offset: NDArray[np.int64]
    num_bytes: NDArray[np.int64]
    checksum: NDArray[np.uint32]
    # How long it is, in the unit of `ChunkReader.read`: ``num_frames`` of a spectrogram, ``num_samples`` of a waveform.
    length: NDArray[np.int32]
    cache_content: str  # ``spectrogram`` or ``waveform``
    cache_format: str  # ``tfrecord`` or ``parquet``
    cache_dtype: str  # ``uint8`` or ``float16``; of waveforms ``int16`` or ``int24``
    num_songs: int  # songs that have a chunk
    content: str  # what `fingerprint` returns
    pcm: PcmIndex | None = None  # of waveforms
    start_s: NDArray[np.float64] | None = None  # of waveforms: where each chunk starts in its song, in seconds

    def __len__(self) -> int:
        return len(self.shard)

    @property
    def shard_paths(self) -> list[str]:
        """The shards' paths, in the order of `shards`."""
        return [str(self.folder / name) for name in self.shards]

    def fingerprint(self) -> str:
        """Sixteen hex digits of what all chunks decode to; the same for every ``cache_format``."""
        return self.content

    def levels(self, chunk: int) -> NDArray[np.float32]:
        """RMS of each signal of a chunk of waveforms, by its number from 0, in each of its seconds.

        In dB relative to full scale, over all channels, -180 dB (silence) or more: float32 ``(signals, seconds)``, the
        mixture's first. The last second may be shorter.
        """
        if self.pcm is None:
            raise ValueError("the index is of spectrograms and has no levels. Set cache_content to waveform.")
        return self.pcm.levels_db[chunk]

    def row(self, number: int) -> dict[str, Any]:
        """All columns of one chunk, by its number from 0; read from the file."""
        import pyarrow.parquet as pq

        if not 0 <= number < len(self):
            raise IndexError(f"chunk {number} of {len(self)}; count from 0")
        with pq.ParquetFile(self.path) as file:
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if number < rows:
                    break
                number -= rows
            row: dict[str, Any]
            (row,) = file.read_row_group(group).slice(number, 1).to_pylist()
            return row

    def song_names(self) -> set[str]:
        """The songs that have a chunk; read from the file."""
        return set(self.song_column().dictionary.to_pylist())

    def song_column(self) -> "pa.DictionaryArray":
        """The song of each chunk; read from the file."""
        import pyarrow.parquet as pq

        return pq.read_table(self.path, columns=["song"]).column("song").unify_dictionaries().combine_chunks()


def read_index(place: Path, config: ModelConfig) -> ChunkIndex:
    """Read an index.

    Args:
        place: The index, as `build_index` returns it, or a folder of shards for its latest index.
        config: The settings that it must have been made with.

    Raises:
        DatasetError: there is no index, it was made with other settings (they are named), or it lists no chunk.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = place if place.suffix == ".parquet" and not place.is_dir() else place / INDEX_NAME
    if not path.is_file():
        hint = "Cache the songs first with `python -m flows.cache -p CONFIG`."
        raise DatasetError("there is no such index", path=path, hint=hint)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            summary = read_summary(file)
            made_with = summary["settings"]
            content = made_with.get("cache_content", "spectrogram")
            if content != config.cache_content:
                problem = f"was made with cache_content = {json.dumps(content)} (the config's is "
                hint = "Cache the songs again with this config, or set cache_content to the index's."
                raise DatasetError(f"{problem}{json.dumps(config.cache_content)})", path=path, hint=hint)
            differing = [
                f"{key} = {json.dumps(made_with.get(key))} (the config's is {json.dumps(value)})"
                for key, value in index_settings(config).items()
                if made_with.get(key) != value
            ]
            if differing:
                hint = "Cache the songs again with this config."
                raise DatasetError(f"was made with {', '.join(differing)}", path=path, hint=hint)
            shards, columns = _read_arrays(file, config)
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        hint = "Run `python -m flows.cache -p CONFIG --verify` to make it anew."
        raise DatasetError(f"is not an index of shards, or is damaged ({reason})", path=path, hint=hint) from error
    if not shards:
        raise DatasetError(
            f"0 usable chunks in {summary['num_songs']} song(s), none is as long as T = {config.segment_frames} frames",
            path=path,
            hint="List longer songs, or lower T and chunk_duration.",
        )
    return ChunkIndex(
        path=path,
        folder=folder_of_shards(path),
        shards=shards,
        **columns,
        cache_content=config.cache_content,
        cache_format=config.cache_format,
        cache_dtype=config.cache_dtype,
        num_songs=summary["num_usable_songs"],
        content=summary["fingerprint"],
    )


def summary_metadata(summary: dict[str, Any]) -> dict[str, str]:
    """The entries of an index's metadata for its settings, counts, key and fingerprint, with their checksum."""
    written = json.dumps(summary)
    return {SUMMARY_KEY: written, _SUMMARY_CRC_KEY: str(google_crc32c.value(written.encode()))}


def read_summary(file: "pq.ParquetFile") -> dict[str, Any]:
    """What `summary_metadata` was given; KeyError or ValueError if there is none, or it is damaged."""
    metadata = file.metadata.metadata
    written = metadata[SUMMARY_KEY.encode()]
    checksum = metadata.get(_SUMMARY_CRC_KEY.encode())  # indexes of earlier versions have none
    if checksum is not None and int(checksum) != google_crc32c.value(written):
        raise ValueError("its settings do not match their checksum")
    summary: dict[str, Any] = json.loads(written)
    return summary


def folder_of_shards(index: Path) -> Path:
    """The folder of the shards that an index lists."""
    return index.parent.parent if index.parent.name == INDEX_FOLDER else index.parent


def _read_arrays(file: "pq.ParquetFile", config: ModelConfig) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The names of the shards, and the columns that training needs."""
    length, schema = LENGTH_COLUMN[config.cache_content], chunk_schema(config.cache_content)
    names, of_pcm = ["chunk", length, *_PLACE_COLUMNS], []
    if config.cache_content == "waveform":
        names, of_pcm = [*names, "start_s"], [*PCM_COLUMNS, "residual_db"]
    arrays: dict[str, Any] = {"shard": np.empty(file.metadata.num_rows, np.int32)}
    for name in names:
        arrays[name] = np.empty(file.metadata.num_rows, schema.field(name).type.to_pandas_dtype())
    pcm_tables = []
    numbers: dict[str, int] = {}
    first = 0
    for group in range(file.num_row_groups):  # only one of them is in memory at a time
        table = file.read_row_group(group, columns=["shard", *names, *of_pcm])
        part = slice(first, first + len(table))
        shard = table.column("shard").combine_chunks()
        of_group = [numbers.setdefault(name, len(numbers)) for name in shard.dictionary.to_pylist()]
        arrays["shard"][part] = np.array(of_group, np.int32)[shard.indices.to_numpy()]
        for name in names:
            arrays[name][part] = table.column(name).to_numpy()
        if of_pcm:
            pcm_tables.append(table.select(of_pcm))
        first = part.stop
    arrays["length"] = arrays.pop(length)
    if of_pcm:
        arrays["pcm"] = PcmIndex.of(pcm_tables, 1 + len(config.instruments))
    return tuple(numbers), arrays
