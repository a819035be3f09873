"""What is read of a song and how its stems are written."""

import math
import re
from dataclasses import dataclass
from typing import Literal, get_args

from sepcore.config.choices import Bits, Clipping, Codec
from sepcore.errors import ConfigError

STEM_MP4 = "stem.mp4"
"""The codec of one file with the mixture and all stems as streams."""
STEM_CODECS = get_args(Codec)

_LOWEST_RATE_HZ, _HIGHEST_RATE_HZ = 8000, 192_000
_LOWEST_BITRATE, _HIGHEST_BITRATE = 8000, 640_000
_WITH_BITS = {"wav": (16, 24, 32), "flac": (16, 24)}
MP3_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
"""What MPEG layer III is defined for."""
# ffmpeg would take the nearest of these without a word. Opus is resampled to its own 48 kHz, whatever comes.
_AAC_RATES_HZ = (*MP3_RATES_HZ, 64000, 88200, 96000)
_RATES_HZ = {"mp3": MP3_RATES_HZ, "m4a": _AAC_RATES_HZ, STEM_MP4: _AAC_RATES_HZ}
_HIGHEST_RATES_HZ = {"wma": 48_000}


@dataclass(frozen=True)
class StemFileOptions:
    """What is read of a file and how its stems are written.

    Attributes:
        offset_s: Where to start, in seconds.
        duration_s: How much to separate, in seconds; None: to the end.
        codec: One of `STEM_CODECS`.
        bitrate: Of the lossy codecs, e.g. ``"128k"``.
        bits: Of wav and flac.
        stems: The instruments to write; empty: all of the model's.
        residual: Write also what the chosen stems leave of the mixture, as the stem ``residual``.
        sample_rate: Of the stems in Hz, or ``"source"`` for the song's own (in lossy codecs 48000 at most); None: the
            model's.
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

    @property
    def is_lossless(self) -> bool:
        """Whether the files hold every sample as it is, but for rounding."""
        return self.codec in _WITH_BITS

    @property
    def is_integer(self) -> bool:
        """Whether the files hold integers, which end at full scale."""
        return self.is_lossless and self.bits != 32


def check_options(options: StemFileOptions) -> None:
    """Refuse what cannot be written, before any work starts.

    Raises:
        ConfigError: what was given, what is allowed, how to fix it.
    """
    codec, bits = options.codec, options.bits
    if codec not in STEM_CODECS:
        raise ConfigError(f"codec is {codec!r}", hint=f"Give one of {', '.join(STEM_CODECS)}.")
    if codec not in _WITH_BITS and bits != 16:
        raise ConfigError(f"bits is {bits}, but {codec} has none", hint="Leave it out, and give a bitrate instead.")
    if codec in _WITH_BITS and bits not in _WITH_BITS[codec]:
        allowed = ", ".join(map(str, _WITH_BITS[codec]))
        raise ConfigError(f"bits is {bits}, but {codec} holds {allowed}", hint="Use wav for 32 (float).")
    if not options.is_lossless and options.bitrate is not None and not _is_bitrate(options.bitrate):
        lowest, highest = f"{_LOWEST_BITRATE // 1000}k", f"{_HIGHEST_BITRATE // 1000}k"
        raise ConfigError(f"bitrate is {options.bitrate!r}", hint=f"Give {lowest} to {highest}, e.g. 192k.")
    if options.clipping not in (None, *get_args(Clipping)):
        raise ConfigError(f"clipping is {options.clipping!r}", hint=f"Give one of {', '.join(get_args(Clipping))}.")
    if options.clipping == "none" and options.is_integer:
        raise ConfigError(
            f"clipping is none, but {codec} of {bits} bits cannot hold samples beyond full scale",
            hint="Use rescale, or wav with 32 bits (float).",
        )
    _check_rate(codec, options.sample_rate)
    if not 0 <= options.offset_s < math.inf:
        raise ConfigError(f"offset_s is {options.offset_s:g}", hint="Give 0 or more seconds.")
    if options.duration_s is not None and not 0 < options.duration_s < math.inf:
        raise ConfigError(f"duration_s is {options.duration_s:g}", hint="Give more than 0 seconds, or None for all.")
    if options.page and codec == STEM_MP4:
        raise ConfigError(
            f"a page needs a file for each stem, but {STEM_MP4} is one file for all",
            hint="Choose another codec, e.g. m4a.",
        )


def _check_rate(codec: str, rate: object) -> None:
    if rate is None or rate == "source":
        return
    if not isinstance(rate, int) or not _LOWEST_RATE_HZ <= rate <= _HIGHEST_RATE_HZ:
        raise ConfigError(
            f"sample_rate is {rate!r}",
            hint=f"Give source, or {_LOWEST_RATE_HZ} to {_HIGHEST_RATE_HZ} Hz, e.g. 48000.",
        )
    rates, highest = _RATES_HZ.get(codec), _HIGHEST_RATES_HZ.get(codec, _HIGHEST_RATE_HZ)
    if rates and rate not in rates:
        allowed = ", ".join(map(str, rates))
        raise ConfigError(f"sample_rate is {rate}, but {codec} holds {allowed} Hz", hint="Use flac for others.")
    if rate > highest:
        raise ConfigError(f"sample_rate is {rate}, but {codec} holds {highest} Hz at most", hint="Use flac for more.")


def _is_bitrate(bitrate: object) -> bool:
    """Bits in a second as ffmpeg takes them: a number as text, in thousands with ``k``."""
    found = re.fullmatch(r"(\d{1,9})(k?)", bitrate) if isinstance(bitrate, str) else None
    return found is not None and _LOWEST_BITRATE <= int(found[1]) * (1000 if found[2] else 1) <= _HIGHEST_BITRATE
