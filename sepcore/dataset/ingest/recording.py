"""A song as it was found in a dataset: its recordings, independent of any model's instruments."""

import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class Recording:
    """An audio stream, counted from 0, of a file."""

    path: Path
    stream: int = 0

    @property
    def is_stem_of_mp4(self) -> bool:
        """Whether it is a stream of a ``.stem.mp4``, which musdb and museval read as 16-bit integers."""
        return self.path.name.lower().endswith(".stem.mp4")


@dataclass(frozen=True)
class SourceSong:
    """One song of a dataset.

    Attributes:
        name: Name of its folder, or of its ``.stem.mp4``, as `printable` text.
        subset: Name of its folder below the dataset's root; "" for the root itself.
        own_split: Split that the dataset itself gives it; None if it gives none.
        recordings: Name, as `recording_name` writes it, and recording: the stems, and the mixture if there is one.
        sums: What the dataset itself defines as a sum of stems: its name and theirs.
    """

    name: str
    subset: str
    own_split: Split | None
    recordings: tuple[tuple[str, Recording], ...]
    sums: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def artist(self) -> str:
        """The part of the name before " - "; a song without that is its own artist."""
        return self.name.partition(" - ")[0].strip()


def recording_name(text: str) -> str:
    """A recording's or an instrument's name for comparing: case and the way of writing accents make no difference."""
    return unicodedata.normalize("NFC", text).casefold()
