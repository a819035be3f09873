"""A song's mixture and stems as the streams of one ``.stem.mp4``, as musdb and stempeg read it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import ffmpeg

from sepcore.separation.stem_files.sinks import Blocks, Write, final_names
from sepcore.signal.audio_writer import AudioWriter, named_errors, refuse_folder
from sepcore.signal.ffmpeg import FfmpegProcess, file_url
from sepcore.signal.tags import SongTags, tagged_output
from sepcore.system.atomic import atomic_path, temporary_folder

MIXTURE = "mixture"
# musdb identifies a stream only by its number: the mixture is 0, these are 1 to 4.
_MUSDB_ORDER = ("drums", "bass", "other", "vocals")


def stem_order(instruments: Sequence[str]) -> tuple[str, ...]:
    """The instruments in the order of their streams: musdb's order for musdb's four, else as given."""
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
) -> Iterator[Write]:
    """Write a ``.stem.mp4`` block by block, in memory that does not depend on its length.

    The mixture's stream comes first, then those of the ``instruments`` in `stem_order`. They are encoded into temporary
    files beside ``path``, which become one file when the block ends. Other arguments, files after an error, and errors
    are as in `AudioWriter`.

    Yields:
        A function that appends blocks of the stems and of the ``mixture``, all of one length.
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

            def write(blocks: Blocks) -> None:
                for name, writer in writers.items():
                    writer.write(blocks[name])

            yield write
        _mux(files, path, tags)


def _mux(streams: Mapping[str, Path], path: Path, tags: SongTags | None) -> None:
    """Put the m4a file of each stream, by its title, into one file without encoding it again."""
    refuse_folder(path)  # again: the song may have taken hours
    inputs = [ffmpeg.input(file_url(file))["a:0"] for file in streams.values()]
    options: dict[str, Any] = {"c:a": "copy"}
    for number, title in enumerate(streams):
        # stempeg shows the handler's name, players the title. The stream is named in two ways because ffmpeg-python
        # passes an option only once. Players may play every stream marked default.
        options[f"metadata:s:a:{number}"] = f"handler_name={title}"
        options[f"metadata:s:{number}"] = f"title={title}"
        options[f"disposition:a:{number}"] = "0" if number else "default"
    names = {file: f"the stream {title}" for title, file in streams.items()}
    with (
        named_errors(path),
        atomic_path(path) as temporary,
        tagged_output(inputs, temporary, tags, container="mp4", options=options) as graph,
        # Without -xerror ffmpeg exits with 0 when the disk has no room for the last bytes.
        FfmpegProcess(graph.global_args("-xerror"), feed=False, names=names | {temporary: "the file"}) as process,
    ):
        if failure := process.failure():
            raise failure
