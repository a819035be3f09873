"""One song to its stems' files, as a stream: decoding, separating and encoding run at the same time."""

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.errors import AudioDecodeError, ConfigError
from sepcore.separation.stem_files.names import ALL_STEMS, RESIDUAL, chosen_stems
from sepcore.separation.stem_files.options import STEM_MP4, StemFileOptions
from sepcore.separation.stem_files.sinks import Blocks
from sepcore.separation.stem_files.stem_mp4 import MIXTURE
from sepcore.separation.stem_files.writers import StemFormat, write_files, write_rescaled
from sepcore.signal.audio_reader import probe_audio, read_blocks
from sepcore.signal.decoder import probe_sndfile
from sepcore.signal.tags import read_tags
from sepcore.system.threads import prefetched

_logger = logging.getLogger(__name__)
# Blocks of 10 s that are decoded in advance.
_DECODED_AHEAD = 2
_HIGHEST_LOSSY_HZ = 48_000


class StreamSeparator(Protocol):
    """The part of `sepcore.separation.separator.Separator` that is used here."""

    name: str
    config: ModelConfig

    @property
    def instruments(self) -> tuple[str, ...]:
        """Names of the stems."""

    def stream(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[dict[str, NDArray[np.float32]]]:
        """Consecutive pieces of a waveform to consecutive pieces of every stem."""


def separate_file(
    separator: StreamSeparator,
    song: Path,
    stems: Mapping[str, Path],
    options: StemFileOptions,
    *,
    on_samples: Callable[[int], None] = lambda samples: None,
    times: tuple[int, int] | None = None,
) -> float:
    """Separate one file in memory that does not depend on its length.

    Args:
        separator: The model; if its network is not loaded yet, the song is decoded meanwhile.
        song: Anything that ffmpeg reads.
        stems: The file of each stem to write, by its name in `chosen_stems`. They get their names together at the end;
            after an error none does.
        options: What to read and how to write.
        on_samples: Called with the number of samples that have just been separated.
        times: `file_times` that the song must still have when its stems get their names; None: the present ones.

    Returns:
        Seconds separated.

    Raises:
        AudioDecodeError: the song cannot be read, or was changed meanwhile.
        AudioEncodeError: a stem cannot be written.
        ConfigError: the model lacks one of the stems.
    """
    config = separator.config
    before = times or _times(song)
    blocks = read_blocks(
        song,
        sample_rate=config.sample_rate,
        num_channels=config.num_channels,
        offset_s=options.offset_s,
        duration_s=options.duration_s,
    )
    files = _streams_of_files(separator, stems, options)
    separated = 0

    def counted(results: Iterator[Blocks]) -> Iterator[Blocks]:
        nonlocal separated
        for block in results:
            samples = len(next(iter(block.values())))
            separated += samples
            yield block
            on_samples(samples)
        if not separated:
            raise AudioDecodeError(f"no audio after {options.offset_s:g} s", path=song, hint="Choose a smaller offset.")
        if _times(song) != before:
            raise changed_song(song)

    with prefetched(blocks, depth=_DECODED_AHEAD) as decoded:
        form = _format(config, song, options)  # its ffprobe runs during the decoding
        results = counted(_with_mixture(separator, decoded, {name for names in files for name in names}))
        write = write_rescaled if options.clipping == "rescale" else write_files
        write(files, form, results)
    seconds = separated / config.sample_rate
    if options.duration_s is not None and seconds >= options.duration_s - 0.5:
        total = probe_audio(song).duration_s
        if total is not None and total > options.offset_s + options.duration_s + 0.5:
            _logger.warning("%s: cut after %g s of %.0f s, as -d says", song, options.duration_s, total)
    return seconds


def changed_song(song: Path) -> AudioDecodeError:
    """The error of a song whose `file_times` have changed since it was opened."""
    return AudioDecodeError("was changed while it was read", path=song, hint="Separate it again when it is complete.")


def file_times(path: Path) -> tuple[int, int]:
    """Size in bytes and time of change in ns, which change while a file is being written."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _times(song: Path) -> tuple[int, int] | None:
    try:
        return file_times(song)
    except OSError:  # whoever reads it reports that
        return None


def _streams_of_files(
    separator: StreamSeparator, stems: Mapping[str, Path], options: StemFileOptions
) -> dict[tuple[str, ...], Path]:
    """The files, each with the names of the streams in it."""
    if options.codec != STEM_MP4:
        return {(name,): path for name, path in stems.items()}
    names = chosen_stems(separator.instruments, replace(options, codec="m4a"))
    return {(MIXTURE, *names): stems[ALL_STEMS]}


def _with_mixture(
    separator: StreamSeparator, decoded: Iterator[NDArray[np.float32]], wanted: set[str]
) -> Generator[Blocks, None, None]:
    """The separated stems, with the mixture and the residual where they are wanted."""
    # The model may have an instrument of that name.
    added = wanted & {MIXTURE, RESIDUAL} - set(separator.instruments)
    waiting: deque[NDArray[np.float32]] = deque()

    def kept() -> Iterator[NDArray[np.float32]]:
        for block in decoded:
            if added:
                waiting.append(block)
            yield block

    chosen = [name for name in separator.instruments if name in wanted]
    for stems in separator.stream(kept()):
        if missing := wanted - added - stems.keys():
            raise ConfigError(
                f"{separator.name}: the model has been replaced by one without {', '.join(sorted(missing))} (it has "
                f"{', '.join(stems)})",
                hint="Run the same command again.",
            )
        samples = len(next(iter(stems.values())))
        if not samples:
            continue
        blocks = {**stems}
        if added:
            mixture = _take(waiting, samples)
            if MIXTURE in added:
                blocks[MIXTURE] = mixture
            if RESIDUAL in added:
                blocks[RESIDUAL] = mixture - sum((stems[name] for name in chosen), np.zeros_like(mixture))
        yield blocks


def _take(waiting: deque[NDArray[np.float32]], samples: int) -> NDArray[np.float32]:
    """Take this many samples from the front."""
    parts = []
    while samples:
        block = waiting.popleft()
        if len(block) > samples:
            waiting.appendleft(block[samples:])
            block = block[:samples]
        parts.append(block)
        samples -= len(block)
    return np.concatenate(parts)


def _format(config: ModelConfig, song: Path, options: StemFileOptions) -> StemFormat:
    rate, channels, total = config.sample_rate, config.num_channels, None
    if options.sample_rate == "source" or options.keep_mono:
        direct = probe_sndfile(song)
        source = direct or probe_audio(song)
        if options.keep_mono and source.num_channels == 1:
            channels = 1
        if options.sample_rate == "source":
            # No lossy codec gains from a higher rate, and some have none.
            rate = source.sample_rate if options.is_lossless else min(source.sample_rate, _HIGHEST_LOSSY_HZ)
            if direct and rate == direct.sample_rate and not options.offset_s and options.duration_s is None:
                total = direct.num_samples
    if isinstance(options.sample_rate, int):
        rate = options.sample_rate
    tags = read_tags(song) if options.codec != "wav" else None
    return StemFormat(str(song), options, config.sample_rate, rate, config.num_channels, channels, total, tags)
