"""All stems of a song at another pitch or tempo, with one time map: by Rubber Band in ffmpeg, or resampled."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Literal

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from sepcore.dataset.augment.variants import Method, Variant, same_by_resampling
from sepcore.errors import ConfigError
from sepcore.signal.ffmpeg import FfmpegProcess, file_url, find_program, has_filter
from sepcore.signal.resampler import Resampler

Block = NDArray[np.float32]

# ffmpeg's filter reads the channels beyond these from elsewhere in memory, and crashes.
_MOST_CHANNELS = 8
# The filter keeps up to 0.08 s to itself at the end.
_FLUSH_S = 1.0
_BLOCK_SAMPLES = 1 << 17


def choose_method(wanted: Literal["auto"] | Method, variants: Sequence[Variant]) -> Method:
    """The method that is meant: with ``auto`` Rubber Band where ffmpeg has it.

    Raises:
        ConfigError: Rubber Band is wanted, and ffmpeg lacks it; or two variants are the same by resampling.
        FfmpegMissing: there is no ffmpeg.
    """
    program = find_program("ffmpeg")
    if wanted != "resample" and has_filter(program, "rubberband"):
        return "rubberband"
    if wanted == "rubberband":
        raise ConfigError(
            "--method rubberband: this ffmpeg has no filter rubberband",
            path=Path(program),
            hint="Install an ffmpeg that was built with librubberband, or give --method resample.",
        )
    if same := same_by_resampling(variants):
        pair = " and ".join(variant.flag for variant in same)
        raise ConfigError(f"{pair} are the same by --method resample", hint="Leave one of them out.")
    return "resample"


@dataclass(frozen=True)
class StretchedStems:
    """Stems of one song, all of the same length, in files of raw float32 samples."""

    spools: tuple[tuple[Path, int], ...]  # files, and how many channels each interleaves; together all stems in order
    num_samples: int

    def blocks(self) -> Iterator[Block]:
        """float32 ``(samples, stems * channels)``, from the files; silence where they end early."""
        with ExitStack() as stack:
            files = [(stack.enter_context(path.open("rb")), channels) for path, channels in self.spools]
            for start in range(0, self.num_samples, _BLOCK_SAMPLES):
                length = min(_BLOCK_SAMPLES, self.num_samples - start)
                yield np.concatenate([_read(file, length, channels) for file, channels in files], axis=1)


def stretch(
    blocks: Iterable[Block],
    variant: Variant,
    method: Method,
    folder: Path,
    *,
    sample_rate: int,
    num_stems: int,
    num_channels: int,
) -> StretchedStems:
    """Bring all stems of a song to another pitch or tempo, with one time map.

    ``rubberband``: the stems are the channels of one stream, whose time map follows the attacks in their sum: what was
    simultaneous stays so. More than 8 channels, which ffmpeg's filter cannot take, are several streams with
    ``transients=smooth``: then the map depends on the factor alone, but the sound is rougher, and stems of different
    streams are in step to 0.02 s only: the filter starts its phases anew where all of a stream is silent.
    ``channels=together`` is never used: it takes the first two channels
    for left and right, and so the first stem unlike the others.

    ``resample``: a tape that runs faster or slower.

    Args:
        blocks: float32 ``(samples, num_stems * num_channels)``, the channels of each stem side by side.
        variant: Pitch or tempo.
        method: As said above.
        folder: For files with the result: 4 bytes a sample and channel.
        sample_rate: In Hz.
        num_stems: At least one.
        num_channels: Of each stem.

    Returns:
        The stems, ``round(samples / speed)`` long. The place of an event is right to 0.04 s with ``rubberband``, and
        to a sample with ``resample``.

    Raises:
        FfmpegFailed: ffmpeg ended with an error.
        OSError: a file cannot be written.

    References:
        Rubber Band Library (C. Cannam), engine R2; R. Sykes, the SoX resampler library (libsoxr).
    """
    counted = _Counted(blocks)
    channels = num_stems * num_channels
    if method == "resample":
        spools = [(folder / "stems.f32", channels)]
        _resample(counted, spools[0][0], variant.factor, sample_rate, channels)
    else:
        most = max(_MOST_CHANNELS // num_channels, 1) * num_channels
        sizes = [min(most, channels - first) for first in range(0, channels, most)]
        spools = [(folder / f"stems-{number}.f32", size) for number, size in enumerate(sizes)]
        options: dict[str, Any] = {variant.kind: variant.factor}
        if len(spools) > 1:
            options["transients"] = "smooth"
        _rubberband(counted, spools, options, sample_rate)
    return StretchedStems(tuple(spools), round(counted.num_samples / variant.speed(method)))


class _Counted:
    """Blocks, and how many samples they had."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        self._blocks, self.num_samples = blocks, 0

    def __iter__(self) -> Iterator[Block]:
        for block in self._blocks:
            self.num_samples += len(block)
            yield block


def _resample(blocks: Iterable[Block], spool: Path, speed: float, sample_rate: int, num_channels: int) -> None:
    resampler = Resampler(sample_rate * speed, sample_rate, num_channels)
    with spool.open("wb") as file:
        for block in blocks:
            file.write(np.ascontiguousarray(resampler.push(block), "<f4").data)
        file.write(np.ascontiguousarray(resampler.finish(), "<f4").data)


def _rubberband(
    blocks: Iterable[Block], spools: Sequence[tuple[Path, int]], options: dict[str, Any], sample_rate: int
) -> None:
    sizes = [channels for _, channels in spools]
    silence = np.zeros((round(_FLUSH_S * sample_rate), sum(sizes)), np.float32)
    with ExitStack() as stack:
        streams = [stack.enter_context(_rubberband_stream(*spool, options, sample_rate)) for spool in spools]
        for block in chain(blocks, [silence]):
            for feed, part in zip(streams, np.split(block, np.cumsum(sizes)[:-1], axis=1), strict=True):
                feed(part)


@contextmanager
def _rubberband_stream(
    spool: Path, num_channels: int, options: dict[str, Any], sample_rate: int
) -> Iterator[Callable[[Block], None]]:
    """Yield a function that feeds samples to a filter that writes what it makes of them to a file."""
    samples = ffmpeg.input("pipe:", format="f32le", ar=sample_rate, ac=num_channels)
    stretched = samples.filter("rubberband", **options)
    graph = stretched.output(file_url(spool), format="f32le", acodec="pcm_f32le").global_args("-xerror")
    with FfmpegProcess(graph, feed=True, names={spool: "the file"}) as process:

        def finish() -> None:
            if failure := process.failure():
                raise failure

        def feed(block: Block) -> None:
            try:
                process.pipe.write(np.ascontiguousarray(block, "<f4").data)
            except BrokenPipeError:
                finish()  # tells why ffmpeg stopped reading
                raise

        yield feed
        finish()


def _read(file: BinaryIO, num_samples: int, num_channels: int) -> Block:
    block = np.zeros((num_samples, num_channels), "<f4")
    file.readinto(block.data.cast("B"))  # type: ignore[attr-defined]
    return block
