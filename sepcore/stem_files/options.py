"""What is read of a song and how its stems are written."""

from dataclasses import dataclass
from typing import Literal

from sepcore.signal.audio_writer import Bits

Clipping = Literal["clamp", "rescale", "none"]


@dataclass(frozen=True)
class StemFileOptions:
    """What is read of a file and how its stems are written.

    Attributes:
        offset_s: Where to start, in seconds.
        duration_s: How much to separate, in seconds; None: to the end.
        codec: One of `sepcore.signal.audio_writer.CODECS`.
        bitrate: Of the lossy codecs, e.g. ``"128k"``.
        bits: Of wav and flac.
        stems: The instruments to write; empty: all of the model's.
        residual: Write also what the chosen stems leave of the mixture, as the stem ``residual``.
        sample_rate: Of the stems in Hz, or ``"source"`` for the song's own; None: the model's.
        keep_mono: Write the stems of a mono song in one channel.
        clipping: What happens to samples beyond full scale: ``clamp`` them, ``rescale`` all stems of the song by one
            factor, or ``none``; None: clamp where the format cannot hold them, as Spleeter does.
        page: Write an ``index.html`` beside the stems, to listen to them in a browser.
    """

    offset_s: float = 0.0
    duration_s: float | None = None
    codec: str = "wav"
    bitrate: str | None = "128k"
    bits: Bits = 16
    stems: tuple[str, ...] = ()
    residual: bool = False
    sample_rate: int | Literal["source"] | None = None
    keep_mono: bool = False
    clipping: Clipping | None = None
    page: bool = False
