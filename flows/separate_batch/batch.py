"""The steps that the folder command takes with and without Prefect: plan, look for finished songs, conclude."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flows.separate_batch.options import SeparationOptions
from flows.support.download import locate_with_bar
from flows.support.inputs import check_ffmpeg
from flows.support.terminal import progress_bar, say
from sepcore.batch.plan import find_songs, plan_batch, settled_songs
from sepcore.batch.records import FailedTry, forget_failed_try
from sepcore.batch.run import skip_if_done
from sepcore.batch.song import Outcome, Song
from sepcore.config.choices import Precision
from sepcore.separation.separator import Separator
from sepcore.separation.shared import shared_separator
from sepcore.separation.stem_files.folder_page import write_folder_page
from sepcore.separation.stem_files.options import StemFileOptions
from sepcore.system.printable import printable
from sepcore.system.threads import num_cores, ordered_map

_PRECISIONS = {
    "bfloat16": "precision: bfloat16, in which this processor computes",
    "float32": "precision: float32 (bfloat16 needs OpenVINO and a processor that computes in it)",
}


@dataclass(frozen=True)
class Batch:
    """Songs, how to read and write them, and the model, whose network is loaded when the first song needs it."""

    out: Path
    songs: list[Song]
    options: StemFileOptions
    separator: Separator


def plan(options: SeparationOptions, paths: Sequence[Path], *, settled_s: float | None = None) -> Batch:
    """Refuse all that can be refused before a network is loaded: paths, ffmpeg, model, options, format, clashes.

    Args:
        options: How to separate; nothing is written to the output folder yet.
        paths: Files, and folders at any depth.
        settled_s: For a watched folder: leave out songs that were changed in these last seconds; there may be none.
    """
    songs = find_songs(paths, out=options.out, may_be_empty=settled_s is not None)
    if settled_s is not None:
        songs = settled_songs(songs, seconds=settled_s)
    check_ffmpeg()
    locate_with_bar(options.params)
    separator, files = shared_separator(options.settings()), options.stem_files()
    if options.precision == "auto":
        _say_precision(separator.settings.precision)
    planned = plan_batch(songs, options.out, separator.instruments, files, filename_format=options.filename_format)
    return Batch(options.out, planned, files, separator)


def look_for_done(batch: Batch, *, by_time: bool = False, dry_run: bool = False) -> dict[Path, Outcome]:
    """The songs whose stems are there already, by file; pages that are wanted and missing are made.

    Args:
        batch: The songs.
        by_time: Do not read songs whose size and time are the recorded ones; see `find_done`.
        dry_run: Write nothing, not even pages.
    """

    def skipped(song: Song) -> Outcome | None:
        return skip_if_done(batch.separator, song, batch.options, by_time=by_time, write_page=not dry_run)

    found = ordered_map(skipped, batch.songs, threads=num_cores())
    if by_time:
        return {outcome.song: outcome for outcome in found if outcome}
    with progress_bar() as bar:
        shown = bar.track(found, total=len(batch.songs), description="look for what is done")
        outcomes = {outcome.song: outcome for outcome in shown if outcome}
        bar.remove_task(bar.task_ids[0])
    return outcomes


def try_new(
    batch: Batch, songs: Sequence[Song], separate: Callable[[Sequence[Song]], dict[Path, Outcome]]
) -> tuple[dict[Path, Outcome], dict[Path, Outcome]]:
    """Separate the songs of a batch that are not done, except those that failed before and have not changed since.

    Returns the outcomes of this round, and those of earlier rounds. A song that has just been moved away has none.
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
    """Write the summary of the songs that have an outcome, and the list of pages; the outcomes in the songs' order."""
    from sepcore.batch.summary import write_summary  # pyarrow takes a third of a second to import

    songs = [song for song in batch.songs if song.path in outcomes]
    write_summary(batch.out, songs, outcomes)
    if batch.options.page:
        pages = [(song.name, song.page) for song in songs if outcomes[song.path].status != "failed"]
        if listed := write_folder_page(batch.out, [(name, page) for name, page in pages if page]):
            say([f"page: {printable(listed)}"])
    return [outcomes[song.path] for song in songs]


@cache  # once, in a process that looks at a folder again and again
def _say_precision(chosen: Precision) -> None:
    say([_PRECISIONS[chosen]])
