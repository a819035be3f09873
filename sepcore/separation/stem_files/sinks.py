"""A song's files while they are written: each is encoded by its own thread, and all get their names together."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from queue import Queue
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sepcore.errors import AudioEncodeError
from sepcore.signal.audio_writer import named_errors, not_writable, refuse_folder
from sepcore.system.atomic import atomic_path

Blocks = Mapping[str, NDArray[np.float32]]
Write = Callable[[Blocks], None]

# A block is a segment of some 12 s: one is encoded while the next is waiting.
_WAITING = 1


class _Abandoned(Exception):
    """Ends a file that is not to be kept."""


class Sink:
    """One file in the making: what is written is encoded by a thread, a block behind.

    `start` is called in the sink's context and not by its beginning: Ctrl-C in the middle of the start of a thread then
    ends that thread, too.

    Args:
        open_file: Opens the file; yields what appends blocks to it. Its context ends well if the sink's does, and with
            an error, so that nothing stays of the file, if the sink's ends with one.
        names: The stems that the file holds.
    """

    def __init__(self, open_file: Callable[[], AbstractContextManager[Write]], names: tuple[str, ...]) -> None:
        self._open_file, self._names = open_file, names
        self._waiting: Queue[Blocks | None] = Queue(_WAITING)
        self._abandoned, self._ended = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"write {', '.join(names)}", daemon=True)

    def write(self, blocks: Blocks) -> None:
        """Append the file's stems, float32 ``(samples, channels)`` each; an error of an earlier block comes out."""
        self._waiting.put({name: blocks[name] for name in self._names})
        if self._error:
            raise self._error

    def start(self) -> None:
        """Open the file."""
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._abandoned.set()  # first: a thread that Ctrl-C met in its start sees it before it opens the file
        if self._thread.ident is None:
            return
        try:
            self._end(abandon=error is not None)
        except BaseException:
            # Ctrl-C while the last blocks are encoded: the file must not be made after all, when its place is cleared.
            self._end(abandon=True)
            raise
        if self._error and error is None:
            raise self._error

    def _end(self, *, abandon: bool) -> None:
        if abandon:
            self._abandoned.set()
        self._waiting.put(None)
        self._ended.wait()
        self._thread.join()

    def _run(self) -> None:
        blocks: Blocks | None = {}
        try:
            if self._abandoned.is_set():
                return
            with self._open_file() as write:
                while (blocks := self._waiting.get()) is not None:
                    if not self._abandoned.is_set():
                        write(blocks)
                if self._abandoned.is_set():
                    raise _Abandoned
        except _Abandoned:
            return
        except BaseException as error:
            self._error = error
            # Whoever writes is not held up, and sees the error.
            while blocks is not None:
                blocks = self._waiting.get()
        finally:
            self._ended.set()


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
