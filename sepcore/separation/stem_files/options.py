"""Which part of a song is read and how its stems are written."""

import math
import re
from dataclasses import dataclass
from typing import Literal, get_args

from sepcore.config.choices import Bits, Clipping, Codec
from sepcore.errors import ConfigError

STEM_MP4 = "stem.mp4"
"""The codec of a single file with the mixture and all stems as streams."""
STEM_CODECS = get_args(Codec)

_LOWEST_RATE_HZ, _HIGHEST_RATE_HZ = 8000, 192_000
_LOWEST_BITRATE, _HIGHEST_BITRATE = 8000, 640_000
_WITH_BITS = {"wav": (16, 24, 32), "flac": (16, 24)}
MP3_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
"""What MPEG layer III is defined for."""
# For another rate ffmpeg would silently take the nearest of these. Opus is always resampled to 48 kHz.
_AAC_RATES_HZ = (*MP3_RATES_HZ, 64000, 88200, 96000)
_RATES_HZ = {"mp3": MP3_RATES_HZ, "m4a": _AAC_RATES_HZ, STEM_MP4: _AAC_RATES_HZ}
_WMA_HIGHEST_RATE_HZ = 48_000


@dataclass(frozen=True)
class StemFileOptions:
    """Which part of a song is read and how its stems are written."""

    offset_s: float = 0.0
    duration_s: float | None = None
    """None: to the end."""
    codec: str = "wav"
    """One of `STEM_CODECS`."""
    bitrate: str | None = "128k"
    """Of the lossy codecs."""
    bits: Bits = 16
    """Of wav and flac."""
    stems: tuple[str, ...] = ()
    """The instruments to write; empty: all of the model's."""
    residual: bool = False
    """Also write the mixture minus the chosen stems, as the stem ``residual``."""
    sample_rate: int | Literal["source"] | None = None
    """Of the stems in Hz, or ``"source"`` for the song's own (in lossy codecs 48000 at most); None: the model's."""
    keep_mono: bool = False
    """Write the stems of a mono song in one channel."""
    clipping: Clipping | None = None
    """What to do with samples beyond full scale: ``clamp`` them, ``rescale`` all stems of the song by one factor, or
    ``none``; None: clamp them where the format cannot hold them, as Spleeter does."""
    page: bool = False
    """Write an ``index.html`` beside the stems, to listen to them in a browser."""

    @property
    def is_lossless(self) -> bool:
        """Whether the files hold every sample unchanged except for rounding."""
        return self.codec in _WITH_BITS

    @property
    def is_integer(self) -> bool:
        """Whether the files hold integers, which cannot exceed full scale."""
        return self.is_lossless and self.bits != 32


def check_options(options: StemFileOptions) -> None:
    """Raise ConfigError for options with which no file could be written."""
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
    if rate not in _RATES_HZ.get(codec, (rate,)):
        allowed = ", ".join(map(str, _RATES_HZ[codec]))
        raise ConfigError(f"sample_rate is {rate}, but {codec} holds {allowed} Hz", hint="Use flac for others.")
    if codec == "wma" and rate > _WMA_HIGHEST_RATE_HZ:
        raise ConfigError(
            f"sample_rate is {rate}, but wma holds {_WMA_HIGHEST_RATE_HZ} Hz at most", hint="Use flac for more."
        )


def _is_bitrate(bitrate: object) -> bool:
    """Whether it is a number of bits per second as text, in thousands with ``k``, as ffmpeg expects it."""
    found = re.fullmatch(r"(\d{1,9})(k?)", bitrate) if isinstance(bitrate, str) else None
    return found is not None and _LOWEST_BITRATE <= int(found[1]) * (1000 if found[2] else 1) <= _HIGHEST_BITRATE
