"""The JSON file beside each shard: where its chunks stand. It comes last; a shard without it is not complete."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class ShardContent:
    """What a shard holds; the lists have an item a chunk, in the order of the chunks' numbers, which start at 0.

    Attributes:
        fingerprint: Of what it was made from.
        instruments: In the order in which they are stored, after the mixture.
        length_s: Length of a chunk in seconds; one at a song's end is shorter.
        num_bytes: Size of the shard's file.
        start_s: Where the chunk starts in the song, in seconds.
        num_frames: STFT frames of each signal.
        min_db: Of the mixture and each instrument, what code 0 stands for (float16: the quietest bin).
        max_db: Likewise, what code 255 stands for (float16: the loudest bin).
        offset: The chunk's first byte in the shard.
        length: How many bytes it has there.
        checksum: CRC-32C of these bytes.
    """

    fingerprint: str
    instruments: tuple[str, ...]
    length_s: float
    num_bytes: int
    start_s: list[float]
    num_frames: list[int]
    min_db: list[list[float]]
    max_db: list[list[float]]
    offset: list[int]
    length: list[int]
    checksum: list[int]


def sidecar_path(shard: Path) -> Path:
    """The JSON file that belongs to a shard."""
    return shard.with_suffix(".json")


def write_content(path: Path, content: ShardContent) -> None:
    """Write the JSON file under any name; it counts from when it stands at `sidecar_path`."""
    path.write_text(json.dumps(asdict(content), separators=(",", ":")), "utf-8")


def read_content(shard: Path) -> ShardContent | None:
    """What a shard holds; None if it is not there whole, or not described by such a file."""
    try:
        fields = json.loads(sidecar_path(shard).read_text("utf-8"))
        content = ShardContent(**{**fields, "instruments": tuple(fields["instruments"])})
        return content if shard.stat().st_size == content.num_bytes else None
    except (OSError, ValueError, TypeError, KeyError):
        return None
