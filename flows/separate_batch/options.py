"""The options of all commands that separate songs, on the command line and as a flow; nothing slow is imported."""

import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from urllib.parse import unquote_to_bytes

from cyclopts import Parameter
from pydantic import BeforeValidator, Field, PositiveInt, model_validator

from flows.support.options import COMMAS, Flag, Model, Positional, WithOverrides, names
from flows.support.prefect_api import configured_prefect_api
from flows.support.runners import GROUP, OnRunner, model_anywhere
from sepcore.config.choices import MAX_OVERLAP, MAX_SHIFTS, Bits, Clipping, Codec, EngineName, Precision
from sepcore.errors import StemworksError

if TYPE_CHECKING:
    from sepcore.separation.settings import SeparatorSettings
    from sepcore.separation.stem_files.options import StemFileOptions


STARTED_S = time.monotonic()
"""When the command started: before the imports that the user waits for."""

_WITH_BITS = ("wav", "flac")
_READING = Parameter(group="which part of each song")
_SEPARATING = Parameter(group="how it is separated")
_WRITING = Parameter(group="how stems are written")


def _some_path(path: Any) -> Any:
    """An empty path, as of a variable that is not set, would be the working folder."""
    if path == "":
        raise ValueError("is empty. Give a path, or . for this folder.")
    return path


def _rate(given: Any) -> Any:
    if not isinstance(given, str) or given == "source":
        return given
    if not re.fullmatch(r"[1-9]\d{3,5}", given):
        raise ValueError(f"{given!r} is neither source nor a rate in Hz such as 48000")
    return int(given)


def _bits(given: Any) -> Any:
    return int(given) if isinstance(given, str) and given.isdecimal() else given


def _some_stems(given: Any) -> Any:
    found = names(given)
    if given and not found:
        raise ValueError(f"{given!r} names no stem. Give e.g. vocals,drums.")
    return found


SomePath = Annotated[Path, BeforeValidator(_some_path)]


class SeparationOptions(WithOverrides):
    """The output folder, and how songs are read, separated and written."""

    out: Annotated[SomePath, Parameter(name=("-o", "--output_path"))]
    """Folder of the stems."""
    params: Model = "2stems"
    filename_format: Annotated[str, Parameter(name=("-f", "--filename_format"))] = "{filename}/{instrument}.{codec}"
    """Fields {filename} {instrument} {foldername} {codec}."""
    offset: Annotated[float, Field(ge=0, allow_inf_nan=False), Parameter(name=("-s", "--offset")), _READING] = 0.0
    """Start here, in seconds."""
    duration: Annotated[
        float | None, Field(gt=0, allow_inf_nan=False), Parameter(name=("-d", "--duration")), _READING
    ] = None
    """Separate this many seconds (default: to the end)."""
    mwf: Annotated[bool | None, _SEPARATING] = None
    """Multichannel Wiener filtering (default: as the config says)."""
    engine: Annotated[EngineName, _SEPARATING] = "auto"
    """Runtime of the network; auto: the fastest here."""
    overlap: Annotated[float | None, Field(ge=0, le=MAX_OVERLAP), _SEPARATING] = None
    """Fraction of a segment by which neighbors overlap, 0 to 0.9 (default: 0; of complex networks 0.25)."""
    shifts: Annotated[int, Field(ge=1, le=MAX_SHIFTS), _SEPARATING] = 1
    """Separate this many times, shifted in time, and average."""
    precision: Annotated[Precision, _SEPARATING] = "float32"
    """Number format of the network; bfloat16 is faster on processors that compute in it, which auto finds out."""
    codec: Annotated[Codec, Parameter(name=("-c", "--codec")), _WRITING] = "wav"
    """Format of the stems."""
    bitrate: Annotated[str, Parameter(name=("-b", "--bitrate")), _WRITING] = "128k"
    """Bit rate of lossy codecs."""
    bits: Annotated[Bits, BeforeValidator(_bits), _WRITING] = 16
    """Bit depth of wav (32: float) and flac."""
    stems: Annotated[tuple[str, ...], BeforeValidator(_some_stems), COMMAS, _WRITING] = ()
    """Only these, e.g. vocals,drums (default: all)."""
    residual: Annotated[Flag, _WRITING] = False
    """Also write the rest of the song without the chosen stems, as residual."""
    sample_rate: Annotated[int | Literal["source"] | None, BeforeValidator(_rate), _WRITING] = None
    """Sample rate of the stems in Hz, or source: the song's (default: the model's)."""
    mono: Annotated[Flag, _WRITING] = False
    """Write the stems of a mono song in one channel."""
    clipping: Annotated[Clipping | None, _WRITING] = None
    """Treatment of samples beyond full scale (default: clamp, where the format cannot hold them)."""
    page: Annotated[Flag, _WRITING] = False
    """Write a page to listen to the stems in a browser."""

    @model_validator(mode="after")
    def _fit_codec(self) -> Self:
        if self.bits != 16 and self.codec not in _WITH_BITS:
            raise ValueError(f"--bits is for wav and flac. Give --bitrate for {self.codec}.")
        if self.codec == "flac" and self.bits == 32:
            raise ValueError("flac holds 16 or 24 bits. Give --bits 24, or -c wav for float.")
        return self

    def extras(self) -> tuple[str, ...]:
        """See `Options.extras`: with a Prefect API songs are separated in a flow's run."""
        return (*super().extras(), *(("evaluate", "orchestrate") if configured_prefect_api() else ()))

    def settings(self) -> "SeparatorSettings":
        """How to separate."""
        from sepcore.separation.settings import SeparatorSettings

        return SeparatorSettings(
            self.params,
            mwf=self.mwf,
            engine=self.engine,
            overlap=self.overlap,
            shifts=self.shifts,
            precision=self.precision,
            overrides=self.overrides or {},
        )

    def stem_files(self) -> "StemFileOptions":
        """Which part to read and how to write."""
        from sepcore.separation.stem_files.options import StemFileOptions

        return StemFileOptions(
            offset_s=self.offset,
            duration_s=self.duration,
            codec=self.codec,
            bitrate=self.bitrate,
            bits=self.bits,
            stems=self.stems,
            residual=self.residual,
            sample_rate=self.sample_rate,
            keep_mono=self.mono,
            clipping=self.clipping,
            page=self.page,
        )


class BatchOptions(SeparationOptions):
    """Songs, and how they are separated."""

    paths: Annotated[list[SomePath], Positional("PATH"), Field(min_length=1)]
    """Files, and folders at any depth."""
    overwrite: Flag = False
    """Separate songs again that are done already."""

    def sent(self) -> dict[str, Any]:
        """The fields as Prefect can keep them: a path that is no UTF-8 as a ``file:`` URL."""
        paths = {"paths": [_sendable(path) for path in self.paths], "out": _sendable(self.out)}
        return (
            self.model_dump(include=set(BatchOptions.model_fields)) | paths | {"params": _sendable(Path(self.params))}
        )

    def received(self) -> Self:
        """The fields that were `sent`."""
        params = model_anywhere(str(_received_path(Path(self.params))))
        paths = [_received_path(path) for path in self.paths]
        return self.model_copy(update={"paths": paths, "out": _received_path(self.out), "params": params})


class FlowOptions(BatchOptions):
    """The options of a flow's run, which may be a round of a watched folder."""

    settled_s: float | None = None
    """For a watched folder: leave songs that were changed in these last seconds for the next run, and songs that failed
    before until they change."""


class Options(BatchOptions, OnRunner):
    """Separate folders and files of audio or video into stems.

    Songs that are done are left as they are, so the same command resumes after any interruption. They are
    separated one at a time unless --workers says otherwise, since one song keeps all cores busy.
    """

    workers: Annotated[PositiveInt | None, GROUP] = None
    """Songs at a time on this machine (default: one, which keeps all cores busy)."""
    dry_run: Flag = False
    """Only print which songs would be separated, and how long that would take."""

    def extras(self) -> tuple[str, ...]:
        """See `Options.extras`."""
        return () if self.dry_run else super().extras()

    def start_early(self) -> None:
        """Load the network if all songs will need it in this process, and the model is at hand."""
        if self.dry_run or self.runner != "local" or configured_prefect_api():
            return
        with suppress(StemworksError, OSError):  # the command meets it again, and says it
            if self.overwrite or not self.out.exists():
                from sepcore.provider.resolve import is_at_hand
                from sepcore.separation.shared import shared_separator

                if is_at_hand(self.params):
                    shared_separator(self.settings()).load_early()


def _sendable(path: Path) -> str:
    """A path as Prefect can keep it; one that is no UTF-8 becomes a ``file:`` URL, see `_received_path`."""
    text = str(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        return path.absolute().as_uri()
    return text


def _received_path(path: Path) -> Path:
    """The path that `_sendable` made sendable."""
    text = str(path)
    if not text.startswith("file:/"):
        return path
    return Path(os.fsdecode(unquote_to_bytes(f"/{text.removeprefix('file:').lstrip('/')}")))
