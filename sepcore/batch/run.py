"""One song of a batch: separated, or left as it is because that is done."""

import errno
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from sepcore.batch.outcome import Outcome, failed
from sepcore.batch.plan import Song
from sepcore.batch.records import file_times, find_done, remove_record, write_record
from sepcore.errors import AudioDecodeError, AudioEncodeError, OutputNotWritable
from sepcore.output_folder import check_writable
from sepcore.provider.checksum import file_sha256
from sepcore.stem_files.options import StemFileOptions
from sepcore.stem_files.page import write_song_page
from sepcore.stem_files.song import separate_file

if TYPE_CHECKING:
    from sepcore.separator import Separator

# No song's own fault. Looked for in the text, since ffmpeg has only that.
_FULL = [os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)]


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
) -> Outcome:
    """Separate one song of a batch and record that it is done.

    A file that cannot be decoded, or a stem that cannot be encoded, is an outcome and not an error.

    Raises:
        OSError: the song's file cannot be read; another try may help. See `failed`.
        OutputNotWritable: the disk is full; so are the next ones.
        ConfigError: the output folder cannot be written to any more, or the model has no longer the planned stems.
        CheckpointError: the network cannot be loaded.
    """
    started, loaded_before_s = time.monotonic(), separator.load_s
    before, digest = file_times(song.path), file_sha256(song.path)
    _write(song, lambda: remove_record(song))
    try:
        audio_s = separate_file(separator, song.path, song.stem_files, options, on_samples=on_samples)
        _write_page(song, options, anew=True)
    except AudioDecodeError as error:
        return failed(song.path, error)
    except AudioEncodeError as error:
        _raise_if_full(song, error)
        check_writable(song.out, "-o")
        return failed(song.path, error)
    # Without what loading the network took, for which the first song waits while it is being decoded.
    elapsed_s = time.monotonic() - started - (separator.load_s - loaded_before_s)
    if file_times(song.path) != before:
        return failed(song.path, "was changed while it was read; separate it again when it is complete")

    def record() -> None:
        write_record(song, separator.fingerprint(), options, song_sha256=digest, audio_s=audio_s, elapsed_s=elapsed_s)

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
            f"{song.out}: what is done cannot be recorded ({error.strerror or error}); choose another folder with -o."
        ) from error


def _raise_if_full(song: Song, error: Exception) -> None:
    if reason := next((reason for reason in _FULL if reason in str(error)), None):
        raise OutputNotWritable(
            f"{song.out}: takes no more ({reason}) at {song.path.name}; make room or choose another folder with -o; "
            "what is done is kept, and the same command goes on from there."
        ) from error
