"""One song of a batch: separated, or skipped because it is done."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sepcore.batch.records import find_done, record_path, remove_record, write_record
from sepcore.batch.song import Outcome, Song, failed
from sepcore.errors import AudioDecodeError, AudioEncodeError, OutputNotWritable
from sepcore.provider.checksum import file_sha256
from sepcore.separation.stem_files.options import StemFileOptions
from sepcore.separation.stem_files.page import write_song_page
from sepcore.separation.stem_files.page_links import remove_song_page
from sepcore.separation.stem_files.song import changed_song, file_times, separate_file
from sepcore.system.atomic import check_writable
from sepcore.system.locks import locked
from sepcore.system.os_errors import EVERY_WRITE_REFUSED, errno_of, fix_for, reason_of

if TYPE_CHECKING:
    from sepcore.separation.separator import Separator

_TRIES_TO_LOCK = 10


def skip_if_done(
    separator: "Separator", song: Song, options: StemFileOptions, *, by_time: bool = False, write_page: bool = True
) -> Outcome | None:
    """The outcome of a song whose stems exist already, from its record (see `find_done`); loads no network.

    Also None for a song that cannot be read; `separate_song` reports that. A page that is wanted and missing is made of
    the stems, unless ``write_page`` is false.
    """
    try:
        record = find_done(song, separator.fingerprint, options, by_time=by_time)
    except OSError:
        return None
    if record is None:
        return None
    try:
        if write_page and song.page and not (song.out / song.page).is_file():
            _write_page(song, options)
    except (AudioDecodeError, AudioEncodeError) as error:
        _raise_if_full(song, error)
        return failed(song.path, error)
    return Outcome(song.path, "skipped", audio_s=record.audio_s, elapsed_s=record.elapsed_s)


def separate_song(
    separator: "Separator",
    song: Song,
    options: StemFileOptions,
    *,
    on_samples: Callable[[int], None] = lambda samples: None,
    unless_done: bool = False,
) -> Outcome:
    """Separate one song of a batch and record that it is done, while no other process works on the same song.

    A file that cannot be decoded or a stem that cannot be encoded is an outcome, not an error.

    Args:
        separator: The model.
        song: Where its stems go.
        options: What is read and how stems are written.
        on_samples: Called with the number of samples that have just been separated, or with 0 while waiting for another
            process; may raise, to end the work.
        unless_done: Skip the song if another process has just done it, with the same model and options.

    Raises:
        OSError: the song cannot be read; another try may help. See `failed`.
        OutputNotWritable: the disk is full, which the next songs will not change.
        ConfigError: the output folder can no longer be written to, or the model lacks one of the planned stems.
        CheckpointError: the network cannot be loaded.
    """
    with ExitStack() as stack:
        with _recording(song):
            stack.enter_context(song_locked(song, lambda: on_samples(0)))
        if unless_done and (done := skip_if_done(separator, song, options)):
            return done
        return _separated(separator, song, options, on_samples)


def _separated(
    separator: "Separator", song: Song, options: StemFileOptions, on_samples: Callable[[int], None]
) -> Outcome:
    started, loaded_before_s = time.monotonic(), separator.load_s
    before, digest = file_times(song.path), file_sha256(song.path)
    with _recording(song):
        remove_record(song)
    try:
        audio_s = separate_file(separator, song.path, song.stem_files, options, on_samples=on_samples, times=before)
        _write_page(song, options)
    except AudioDecodeError as error:
        return failed(song.path, error)
    except AudioEncodeError as error:
        _raise_if_full(song, error)
        check_writable(song.out, "-o")
        return failed(song.path, error)
    # The first song waits for the network while it is being decoded; that does not count.
    elapsed_s = time.monotonic() - started - (separator.load_s - loaded_before_s)
    if song.page and file_times(song.path) != before:  # the page plays the song as it is now
        remove_song_page(song.out / song.page)
        return failed(song.path, changed_song(song.path))
    done = Outcome(song.path, "done", audio_s=audio_s, elapsed_s=elapsed_s, finished_at=time.time())
    with _recording(song):
        write_record(song, separator.fingerprint(), options, done, song_sha256=digest, song_times=before)
    return done


@contextmanager
def song_locked(song: Song, on_wait: Callable[[], None]) -> Iterator[None]:
    """Keep other processes from separating a song to the same place, from reading its record to writing the new one.

    Otherwise two commands with different models could record a mixture of their stems as done. ``on_wait`` is called
    now and then while another process separates the song; it may raise, to stop waiting.

    Raises:
        OSError: the output folder cannot be written to.
    """
    lock = record_path(song).with_suffix(".lock")
    with ExitStack() as stack:
        for tries_left in reversed(range(_TRIES_TO_LOCK)):
            if not lock.parent.exists():
                # Registered before the lock is taken, and so run after it is released.
                stack.callback(_remove_if_empty, lock.parent)
            lock.parent.mkdir(parents=True, exist_ok=True)
            try:
                stack.enter_context(locked(lock, f"separating {song.shown_name}", on_wait=on_wait))
                break
            except FileNotFoundError:  # another process had nothing to record, and has just removed the folder
                if not tries_left:
                    raise
        yield


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _write_page(song: Song, options: StemFileOptions) -> None:
    if song.page:
        write_song_page(song.out / song.page, song=song.path, stems=song.stem_files, offset_s=options.offset_s)


@contextmanager
def _recording(song: Song) -> Iterator[None]:
    """While a record is written or removed: an error of the system there would also meet the next song."""
    try:
        yield
    except OSError as error:
        _raise_if_full(song, error)
        check_writable(song.out, "-o")
        raise OutputNotWritable(
            f"what is done cannot be recorded ({reason_of(error)})",
            path=song.out,
            hint=f"{fix_for(error)}, or choose another folder with -o.",
            errno=error.errno,
        ) from error


def _raise_if_full(song: Song, error: Exception) -> None:
    number = errno_of(error)
    if number in EVERY_WRITE_REFUSED:
        raise OutputNotWritable(
            f"takes no more ({os.strerror(number)}) at {song.shown_name}",
            path=song.out,
            hint=f"{fix_for(error)}, or choose another folder with -o. Completed work was kept: run the same command "
            "again to resume.",
            errno=number,
        ) from error
