"""The files of a song, which get their names together or not at all."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sepcore.errors import AudioEncodeError
from sepcore.signal.audio_writer import named_errors, not_writable, refuse_folder
from sepcore.system.atomic import atomic_path


@contextmanager
def written_together(paths: Iterable[Path]) -> Iterator[dict[Path, Path]]:
    """Yield a temporary file's name for each path; the files get their names when the block ends without an error.

    An encoder may fail at its very end, when those of other stems are done: none of them may have its name by then.

    Args:
        paths: Where the files shall stand; their folders are made, files that stand there are replaced.

    Yields:
        Each path with the name to write to, in the same folder. After an error what was written is removed, and the
        folders and the old files are as they were. A disk that refuses one of the renames, after others, is the
        exception.

    Raises:
        AudioEncodeError: if a folder stands where a file shall, or a folder cannot be made, or a file not be renamed.
            Those of the block itself name the final file.
    """
    drafts: dict[Path, Path] = {}
    done = False
    try:
        with ExitStack() as stack:
            for path in paths:
                refuse_folder(path)
                with named_errors(path):
                    drafts[path] = stack.enter_context(atomic_path(path))
            with final_names({draft: path for path, draft in drafts.items()}):
                yield drafts
            for path in drafts:
                refuse_folder(path)  # once more: the song may have taken hours
            done = True
    except OSError as error:
        if not done:  # something of the block's
            raise
        raise not_writable(Path(error.filename2 or error.filename), error) from error


@contextmanager
def final_names(files: Mapping[Path, Path]) -> Iterator[None]:
    """Let errors about temporary files be about the files that they are for: ``files`` has each with its final one."""
    try:
        yield
    except AudioEncodeError as error:
        if not isinstance(error.path, Path) or error.path not in files:
            raise
        raise AudioEncodeError(error.problem, path=files[error.path], hint=error.hint, errno=error.errno) from error
