"""What the folder command does with a Prefect API and without one: plan, look for what is done, conclude."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.support.download import locate_with_bar
from flows.support.inputs import check_ffmpeg
from flows.support.terminal import progress_bar
from sepcore.batch.plan import find_songs, plan_batch, settled_songs
from sepcore.batch.records import FailedTry, forget_failed_try
from sepcore.batch.run import skip_if_done
from sepcore.batch.song import Outcome, Song
from sepcore.separation.separator import Separator
from sepcore.separation.settings import SeparatorSettings
from sepcore.separation.shared import shared_separator
from sepcore.separation.stem_files.folder_page import write_folder_page
from sepcore.separation.stem_files.options import StemFileOptions
from sepcore.system.threads import num_cores, ordered_map


@dataclass(frozen=True)
class Batch:
    """Songs and all that is to be done with them.

    Attributes:
        out: The output folder.
        songs: Where the stems of each go.
        options: What is read of them and how stems are written.
        separator: The model; its network is loaded when the first song needs it.
    """

    out: Path
    songs: list[Song]
    options: StemFileOptions
    separator: Separator


def plan(
    paths: Sequence[Path],
    out: Path,
    settings: SeparatorSettings,
    options: StemFileOptions,
    *,
    filename_format: str,
    settled_s: float | None = None,
) -> Batch:
    """Everything that can be refused before a network is loaded: paths, ffmpeg, model, options, format, clashes.

    Args:
        paths: Files, and folders at any depth.
        out: Folder of the stems; nothing is written there yet.
        settings: The model and how it separates.
        options: What is read and how stems are written.
        filename_format: Spleeter's ``-f``.
        settled_s: Of a watched folder: songs that were changed in these last seconds are left out, and none need be
            there.
    """
    songs = find_songs(paths, out=out, may_be_empty=settled_s is not None)
    if settled_s is not None:
        songs = settled_songs(songs, seconds=settled_s)
    check_ffmpeg()
    locate_with_bar(settings.model)
    separator = shared_separator(settings)
    planned = plan_batch(songs, out, separator.instruments, options, filename_format=filename_format)
    return Batch(out, planned, options, separator)


def look_for_done(batch: Batch, *, by_time: bool = False, dry_run: bool = False) -> dict[Path, Outcome]:
    """The songs whose stems are there already, by file.

    Args:
        batch: What is to be done.
        by_time: Do not read songs whose size and time are the recorded ones; see `find_done`.
        dry_run: Write nothing; otherwise pages that are wanted and missing are made.
    """

    def skipped(song: Song) -> Outcome | None:
        return skip_if_done(batch.separator, song, batch.options, by_time=by_time, write_page=not dry_run)

    found = ordered_map(skipped, batch.songs, threads=num_cores())
    if by_time:
        return {outcome.song: outcome for outcome in found if outcome}
    with progress_bar() as bar:
        line = bar.add_task("look for what is done", total=len(batch.songs), note="")
        outcomes = {}
        for outcome in found:
            if outcome:
                outcomes[outcome.song] = outcome
            bar.advance(line)
        bar.remove_task(line)
    return outcomes


def try_new(
    batch: Batch, songs: Sequence[Song], separate: Callable[[Sequence[Song]], dict[Path, Outcome]]
) -> tuple[dict[Path, Outcome], dict[Path, Outcome]]:
    """Separate those songs of a watched folder that did not fail before as they are now.

    Args:
        batch: What is to be done.
        songs: Those of its songs that are not done; one that has just been moved away is left out.
        separate: Separates songs; called if there are any.

    Returns:
        What has become of songs now, and in earlier rounds.
    """
    fingerprint, options = batch.separator.fingerprint(), batch.options
    tries = {song: found for song in songs if (found := FailedTry.at(song, fingerprint, options))}
    before = {song.path: outcome for song, this in tries.items() if (outcome := this.failed_before(song))}
    new = {song: this for song, this in tries.items() if song.path not in before}
    outcomes = separate(list(new)) if new else {}
    for song, this in new.items():
        outcome = outcomes[song.path]
        if outcome.status != "failed":
            forget_failed_try(song)
        elif not outcome.may_pass:
            this.remember(song, outcome.reason)
    return outcomes, before


def conclude(batch: Batch, outcomes: Mapping[Path, Outcome]) -> list[Outcome]:
    """Write the summary, and the list of pages if there are any; give the outcomes in the songs' order."""
    from sepcore.batch.summary import write_summary  # pyarrow takes a third of a second to import

    write_summary(batch.out, batch.songs, outcomes)
    if batch.options.page:
        pages = [(song.name, song.page) for song in batch.songs if outcomes[song.path].status != "failed"]
        write_folder_page(batch.out, [(name, page) for name, page in pages if page])
    return [outcomes[song.path] for song in batch.songs]
