"""What becomes of each song of a batch."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sepcore.batch.plan import Song
from sepcore.errors import AudioDecodeError, AudioEncodeError
from sepcore.stem_files.options import StemFileOptions
from sepcore.stem_files.song import separate_file

if TYPE_CHECKING:
    from sepcore.separator import Separator


@dataclass(frozen=True)
class Outcome:
    """What became of one song.

    Attributes:
        song: The song's file.
        status: Whether its stems are there.
        reason: Why not; empty if done.
        audio_s: Seconds of audio separated.
        elapsed_s: Seconds that it took.
    """

    song: Path
    status: Literal["done", "failed"]
    reason: str = ""
    audio_s: float = 0.0
    elapsed_s: float = 0.0


def separate_song(
    separator: "Separator",
    song: Song,
    options: StemFileOptions,
    *,
    on_samples: Callable[[int], None] = lambda samples: None,
) -> Outcome:
    """Separate one song of a batch; a file that cannot be read or written is an outcome, not an error."""
    started = time.monotonic()
    try:
        audio_s = separate_file(separator, song.path, dict(song.stems), options, on_samples=on_samples)
    except (AudioDecodeError, AudioEncodeError) as error:
        return Outcome(song.path, "failed", str(error), elapsed_s=time.monotonic() - started)
    return Outcome(song.path, "done", audio_s=audio_s, elapsed_s=time.monotonic() - started)
