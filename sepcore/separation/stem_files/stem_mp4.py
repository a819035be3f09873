"""A song's mixture and stems as the streams of one ``.stem.mp4``, which musdb and stempeg read."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from sepcore.errors import AudioEncodeError
from sepcore.separation.stem_files.sinks import final_names
from sepcore.signal.audio_writer import AudioWriter, named_errors, refuse_folder
from sepcore.signal.ffmpeg import FfmpegProcess, file_url
from sepcore.signal.tags import SongTags, tagged_output
from sepcore.system.atomic import atomic_path, temporary_folder

MIXTURE = "mixture"
# musdb knows a stream by its place alone: the mixture is 0, these are 1 to 4.
_MUSDB_ORDER = ("drums", "bass", "other", "vocals")

WriteBlocks = Callable[[Mapping[str, NDArray[np.float32]]], None]


def stem_order(instruments: Sequence[str]) -> tuple[str, ...]:
    """The instruments in the order of their streams: musdb's if they are musdb's four, else as given."""
    return _MUSDB_ORDER if sorted(instruments) == sorted(_MUSDB_ORDER) else tuple(instruments)


@contextmanager
def stem_mp4_writer(
    path: Path,
    instruments: Sequence[str],
    *,
    sample_rate: int,
    num_channels: int,
    bitrate: str | None = None,
    tags: SongTags | None = None,
) -> Iterator[WriteBlocks]:
    """Write a ``.stem.mp4`` block by block, in memory that does not depend on its length.

    The streams are encoded side by side into temporary files beside ``path`` and put into one file when the block ends.
    After an error nothing is left of it, and a file that stood there before still does.

    Args:
        path: Where the file shall stand; its folder is made, a file that stands there is replaced.
        instruments: Names of the stems; their streams are in `stem_order` behind the mixture.
        sample_rate: In Hz.
        num_channels: Channels of the blocks and of every stream.
        bitrate: Of every stream, e.g. ``"256k"``, as MUSDB18 has; None: ffmpeg's own choice.
        tags: Of the song, to be written beside the audio.

    Yields:
        A function that appends to all streams: float32 ``(samples, num_channels)``, as many samples of each, by
        instrument, and the mixture as ``mixture``.

    Raises:
        AudioEncodeError: if the file cannot be written: no right, no space, or ffmpeg refused it.
        FfmpegMissing: if there is no ffmpeg.
        ValueError: from the yielded function, if a stream has no block or blocks differ in length.
    """
    refuse_folder(path)
    names = (MIXTURE, *stem_order(instruments))
    with ExitStack() as stack:
        with named_errors(path):
            folder = stack.enter_context(temporary_folder(path))
        files = {name: folder / f"{number}.m4a" for number, name in enumerate(names)}
        stack.enter_context(final_names(dict.fromkeys(files.values(), path)))
        with ExitStack() as encoders:
            writers = {
                name: encoders.enter_context(
                    AudioWriter(file, sample_rate=sample_rate, num_channels=num_channels, codec="m4a", bitrate=bitrate)
                )
                for name, file in files.items()
            }

            def write(blocks: Mapping[str, NDArray[np.float32]]) -> None:
                lengths = {name: len(block) for name, block in blocks.items()}
                if lengths.keys() != writers.keys() or len(set(lengths.values())) > 1:
                    raise ValueError(
                        f"blocks have the samples {lengths}; expected equally many of each of {', '.join(writers)}"
                    )
                for name, writer in writers.items():
                    writer.write(blocks[name])

            yield write
        mux_stem_mp4(files, path, tags)


def mux_stem_mp4(streams: Mapping[str, Path], path: Path, tags: SongTags | None = None) -> None:
    """Put m4a files into one file, whole or not at all; nothing is encoded again.

    Args:
        streams: The m4a file of each stream by its title, all of one length, rate and number of channels; the mixture
            first, then the stems in `stem_order`.
        path: Where the file shall stand, ``….stem.mp4``; its folder is made, a file that stands there is replaced.
        tags: Of the song, to be written beside the audio.

    Raises:
        AudioEncodeError: if a stream's file is missing, or ``path`` cannot be written: no right, no space, or ffmpeg
            refused it.
        FfmpegMissing: if there is no ffmpeg.
    """
    refuse_folder(path)
    if not streams:
        raise AudioEncodeError("cannot be written without streams", path=path, hint="Give the mixture and the stems.")
    for title, file in streams.items():
        if not file.is_file():
            raise AudioEncodeError(f"cannot be written: {file}, which holds its stream {title}, is no file", path=path)
    inputs = [ffmpeg.input(file_url(file))["a:0"] for file in streams.values()]
    options: dict[str, Any] = {"c:a": "copy"}
    for number, title in enumerate(streams):
        # stempeg takes the handler's name for the title, players the title. The stream is named in two ways because
        # ffmpeg-python gives an option once. Players may play every stream marked default.
        options[f"metadata:s:a:{number}"] = f"handler_name={title}"
        options[f"metadata:s:{number}"] = f"title={title}"
        options[f"disposition:a:{number}"] = "0" if number else "default"
    names = {file: f"the stream {title}" for title, file in streams.items()}
    with (
        named_errors(path),
        atomic_path(path) as temporary,
        tagged_output(inputs, temporary, tags, container="mp4", options=options) as graph,
        # Without -xerror a disk that is full for the last bytes is exit code 0.
        FfmpegProcess(graph.global_args("-xerror"), feed=False, names=names | {temporary: "the file"}) as process,
    ):
        if failure := process.failure():
            raise failure
