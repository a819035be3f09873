"""One song of a batch: separated, or left as it is because that is done."""

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from sepcore.batch.records import find_done, remove_record, song_locked, write_record
from sepcore.batch.song import Outcome, Song, failed
from sepcore.errors import AudioDecodeError, AudioEncodeError, OutputNotWritable
from sepcore.provider.checksum import file_sha256
from sepcore.separation.stem_files.options import StemFileOptions
from sepcore.separation.stem_files.page import write_song_page
from sepcore.separation.stem_files.page_links import remove_song_page
from sepcore.separation.stem_files.song import changed_song, file_times, separate_file
from sepcore.system.os_errors import EVERY_WRITE_REFUSED, errno_of, fix_for, reason_of
from sepcore.system.output_folder import check_writable

if TYPE_CHECKING:
    from sepcore.separation.separator import Separator


def skip_if_done(
    separator: "Separator", song: Song, options: StemFileOptions, *, by_time: bool = False, write_page: bool = True
) -> Outcome | None:
    """The outcome of a song whose stems are there already, from its record (see `find_done`); loads no network.

    None, too, for a song that cannot be read: that is found out, and said, by who separates it. If a page is wanted and
    not there, it is made of the stems, unless nothing is to be written.
    """
    try:
        record = find_done(song, separator.fingerprint(), options, by_time=by_time)
    except OSError:
        return None
    if record is None:
        return None
    try:
        if write_page:
            _write_page(song, options, anew=False)
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
    """Separate one song of a batch and record that it is done; no other process does the same song meanwhile.

    A file that cannot be decoded, or a stem that cannot be encoded, is an outcome and not an error.

    Args:
        separator: The model.
        song: Where its stems go.
        options: What is read and how stems are written.
        on_samples: Called with the number of samples that have just been separated, 0 while another process has the
            song; may raise, to end the work.
        unless_done: Leave the song if another process has just done it, with the same model and options.

    Raises:
        OSError: the song's file cannot be read; another try may help. See `failed`.
        OutputNotWritable: the disk is full; so are the next ones.
        ConfigError: the output folder cannot be written to any more, or the model no longer has the planned stems.
        CheckpointError: the network cannot be loaded.
    """
    with ExitStack() as stack:
        _write(song, lambda: stack.enter_context(song_locked(song, lambda: on_samples(0))))
        if unless_done and (done := skip_if_done(separator, song, options)):
            return done
        return _separated(separator, song, options, on_samples)


def _separated(
    separator: "Separator", song: Song, options: StemFileOptions, on_samples: Callable[[int], None]
) -> Outcome:
    started, loaded_before_s = time.monotonic(), separator.load_s
    before, digest = file_times(song.path), file_sha256(song.path)
    _write(song, lambda: remove_record(song))
    try:
        audio_s = separate_file(separator, song.path, song.stem_files, options, on_samples=on_samples, times=before)
        _write_page(song, options, anew=True)
    except AudioDecodeError as error:
        return failed(song.path, error)
    except AudioEncodeError as error:
        _raise_if_full(song, error)
        check_writable(song.out, "-o")
        return failed(song.path, error)
    # Without what loading the network took, for which the first song waits while it is being decoded.
    elapsed_s = time.monotonic() - started - (separator.load_s - loaded_before_s)
    if song.page and file_times(song.path) != before:  # the page plays the song as it is now
        remove_song_page(song.out / song.page)
        return failed(song.path, changed_song(song.path))

    def record() -> None:
        write_record(
            song,
            separator.fingerprint(),
            options,
            song_sha256=digest,
            song_times=before,
            audio_s=audio_s,
            elapsed_s=elapsed_s,
        )

    _write(song, record)
    return Outcome(song.path, "done", audio_s=audio_s, elapsed_s=elapsed_s, finished_at=time.time())


def _write_page(song: Song, options: StemFileOptions, *, anew: bool) -> None:
    if song.page and (anew or not (song.out / song.page).is_file()):
        write_song_page(song.out / song.page, song=song.path, stems=song.stem_files, offset_s=options.offset_s)


def _write(song: Song, write: Callable[[], None]) -> None:
    """Write or remove a record; what the system refuses there it will refuse for the next song, too."""
    try:
        write()
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
