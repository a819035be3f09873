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
"""A piece of each stem, float32 ``(samples, channels)``, by its name."""
Write = Callable[[Blocks], None]

# A block is a segment of about 12 s: one waits while another is encoded.
_WAITING = 1


class _Abandoned(Exception):
    """Ends a file that is not to be kept."""


class Sink:
    """A file whose blocks are encoded by a thread of its own, one block behind.

    Call `start` after entering the context: if Ctrl-C interrupts the start of the thread, leaving the context ends it.

    The context of ``open_file`` yields a function that appends blocks; it ends without an error, which keeps the file,
    only if the sink's does. The file holds the stems ``names``.
    """

    def __init__(self, open_file: Callable[[], AbstractContextManager[Write]], names: tuple[str, ...]) -> None:
        self._open_file, self._names = open_file, names
        self._waiting: Queue[Blocks | None] = Queue(_WAITING)
        self._abandoned, self._ended = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"write {', '.join(names)}", daemon=True)

    def write(self, blocks: Blocks) -> None:
        """Append the file's stems; raises the error of an earlier block."""
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
            self._abandoned.set()  # first: a thread whose start Ctrl-C interrupted sees it before it opens the file
        if self._thread.ident is None:
            return
        try:
            self._end(abandon=error is not None)
        except BaseException:
            # Ctrl-C while the last blocks are encoded: the file must not be finished while its folder is cleaned up.
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
            # The queue is emptied so that `write` does not block before it raises the error.
            while blocks is not None:
                blocks = self._waiting.get()
        finally:
            self._ended.set()


@contextmanager
def written_together(paths: Iterable[Path]) -> Iterator[dict[Path, Path]]:
    """Yield a temporary name in the same folder for each path; all files get their names when the block ends.

    An encoder may fail at its very end, when the other stems are complete: none of them may have its name by then.
    Folders are created, and existing files replaced. After an error everything is as before, unless the disk refused
    one of the renames after others.

    Raises:
        AudioEncodeError: a path is a folder, a folder cannot be created or a file not renamed. Errors of the block
            about temporary files are changed to name the final file.
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
                refuse_folder(path)  # again: the song may have taken hours
            done = True
    except OSError as error:
        if not done:  # raised in the block
            raise
        raise not_writable(Path(error.filename2 or error.filename), error) from error


@contextmanager
def final_names(files: Mapping[Path, Path]) -> Iterator[None]:
    """Make errors about temporary files name the final ones: ``files`` maps the former to the latter."""
    try:
        yield
    except AudioEncodeError as error:
        if not isinstance(error.path, Path) or error.path not in files:
            raise
        raise AudioEncodeError(error.problem, path=files[error.path], hint=error.hint, errno=error.errno) from error
