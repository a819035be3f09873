"""The folder command as a Prefect flow: a task run for each song that is not done."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from flows.separate_batch.batch import Batch, conclude, look_for_done, plan, try_new
from flows.separate_batch.options import FlowOptions
from flows.support.flow_options import flow_of, run_name
from flows.support.runners import task_runner
from flows.support.song_tasks import finished_tasks
from sepcore.batch.plan import prepare_output, remove_half_written
from sepcore.batch.records import remove_other_records
from sepcore.batch.song import Outcome, Song, failed
from sepcore.errors import SongsFailed
from sepcore.separation.shared import PlannedModel
from sepcore.system.printable import first_few
from tasks.artifacts import show_batch
from tasks.separation import SongFailed, separate_one

_SHOWN_FAILURES = 5


class SomeFailed(SongsFailed):
    """Some songs of a batch could not be separated.

    Attributes:
        outcomes: Of all songs, in their order.
    """

    def __init__(self, outcomes: list[Outcome]) -> None:
        bad = [outcome.reason for outcome in outcomes if outcome.status == "failed"]
        reasons = first_few(bad, _SHOWN_FAILURES, separator="\n")
        super().__init__(
            f"{reasons}\n{len(bad)} of {len(outcomes)} songs could not be separated", hint="The others were kept."
        )
        self.outcomes = outcomes


# One worker: a song keeps all cores busy, and two at once would only need twice the memory.
@flow_of(
    FlowOptions,
    name="separate-batch",
    flow_run_name=run_name("separate", paths="", params="by"),
    task_runner=task_runner(workers=1),
)
def separate_batch(options: FlowOptions) -> list[Outcome]:
    """Separate the songs of folders and files that are not done; one that fails does not stop the others.

    A path whose name is not UTF-8 is given as a ``file:`` URL.

    Raises:
        SomeFailed: songs could not be separated; the others are.
    """
    options = options.received()
    is_watched = options.settled_s is not None
    batch = plan(options, options.paths, settled_s=options.settled_s)
    prepare_output(batch.songs, batch.out)
    skipped = {} if options.overwrite else look_for_done(batch, by_time=is_watched)
    pending = [song for song in batch.songs if song.path not in skipped]
    separate = partial(_separate, batch, overwrite=options.overwrite)
    new, before = try_new(batch, pending, separate) if is_watched else (separate(pending), {})
    outcomes = conclude(batch, skipped | before | new)
    show_batch(outcomes, batch.out)
    if any(outcome.status == "failed" for outcome in new.values()):
        raise SomeFailed(outcomes)
    return outcomes


def _separate(batch: Batch, songs: Sequence[Song], *, overwrite: bool) -> dict[Path, Outcome]:
    remove_other_records(songs)
    by_absolute = {song.absolute(): song for song in songs}
    shared = batch.separator.settings, batch.options, PlannedModel.of(batch.separator), overwrite
    outcomes = {}
    for absolute, future in finished_tasks(
        separate_one, by_absolute, *shared, description="separate", total=len(songs)
    ):
        song = by_absolute[absolute].path
        try:
            outcomes[song] = replace(future.result(), song=song)
        except SongFailed as error:
            outcomes[song] = replace(error.outcome, song=song)
        except OSError as error:
            outcomes[song] = failed(song, error)
    remove_half_written(songs, batch.out)  # by a cluster's worker that was killed, whose songs others then did
    return outcomes
