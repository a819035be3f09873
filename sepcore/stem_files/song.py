"""One audio file to its stems' files, as a stream."""

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from sepcore.errors import AudioDecodeError
from sepcore.signal.audio_reader import probe_audio, read_blocks
from sepcore.signal.audio_writer import AudioWriter
from sepcore.stem_files.options import StemFileOptions

if TYPE_CHECKING:
    from sepcore.separator import Separator

_logger = logging.getLogger(__name__)


def separate_file(
    separator: "Separator",
    song: Path,
    stems: Mapping[str, Path],
    options: StemFileOptions,
    *,
    on_samples: Callable[[int], None] = lambda samples: None,
) -> float:
    """Separate one file in memory that does not depend on its length.

    Args:
        separator: The model.
        song: Anything that ffmpeg reads.
        stems: The file of each instrument to write; instruments that are not named are not written. All of them get
            their names at the end: after an error there is none.
        options: What to read and how to write.
        on_samples: Called with the number of samples that have just been written.

    Returns:
        Seconds separated.

    Raises:
        AudioDecodeError: the file cannot be read.
        AudioEncodeError: a stem cannot be written.
    """
    config = separator.config
    blocks = read_blocks(
        song,
        sample_rate=config.sample_rate,
        num_channels=config.num_channels,
        offset_s=options.offset_s,
        duration_s=options.duration_s,
    )
    written = 0
    with ExitStack() as files:
        files.callback(blocks.close)
        writers = {
            instrument: files.enter_context(
                AudioWriter(
                    path,
                    sample_rate=config.sample_rate,
                    num_channels=config.num_channels,
                    codec=options.codec,
                    bits=options.bits,
                    bitrate=options.bitrate,
                )
            )
            for instrument, path in stems.items()
        }
        for block in separator.stream(blocks):
            for instrument, writer in writers.items():
                writer.write(block[instrument])
            samples = len(next(iter(block.values())))
            written += samples
            on_samples(samples)
        if not written:
            raise AudioDecodeError(f"{song}: no audio after {options.offset_s:g} s; choose a smaller offset.")
    seconds = written / config.sample_rate
    _warn_if_cut(song, options, seconds)
    return seconds


def _warn_if_cut(song: Path, options: StemFileOptions, seconds: float) -> None:
    if options.duration_s is None or seconds < options.duration_s - 0.5:
        return
    total = probe_audio(song).duration_s
    if total is not None and total > options.offset_s + options.duration_s + 0.5:
        _logger.warning("%s: cut after %g s of %.0f s, as -d says", song, options.duration_s, total)
