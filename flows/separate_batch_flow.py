"""The folder command as a Prefect flow: a task run for each song that is not done."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from prefect import flow

from flows.batch import Batch, conclude, look_for_done, plan, try_new
from flows.support.parameters import Overlap, Shifts, sendable, sent_path
from flows.support.run_names import run_name
from flows.support.runners import model_anywhere, task_runner
from flows.support.song_tasks import finished_tasks
from sepcore.batch.outcome import Outcome, failed
from sepcore.batch.plan import Song, prepare_output, remove_half_written
from sepcore.batch.records import remove_other_records
from sepcore.batch.separators import PlannedModel
from sepcore.engines.base import Precision
from sepcore.engines.select import EngineName
from sepcore.errors import SongsFailed
from sepcore.separator_settings import SeparatorSettings
from sepcore.stem_files.names import DEFAULT_FORMAT
from sepcore.stem_files.options import StemFileOptions
from tasks.dead_runs import note_run
from tasks.separation import SongFailed, separate_one
from tasks.summaries import show_batch

_SHOWN_FAILURES = 5


class SomeFailed(SongsFailed):
    """What became of all songs of a batch, of which some could not be separated.

    Attributes:
        outcomes: Of all songs, in their order.
    """

    def __init__(self, outcomes: list[Outcome]) -> None:
        bad = [outcome.reason for outcome in outcomes if outcome.status == "failed"]
        more = f"; and {len(bad) - _SHOWN_FAILURES} more" if len(bad) > _SHOWN_FAILURES else ""
        reasons = "; ".join(bad[:_SHOWN_FAILURES])
        super().__init__(
            f"{len(bad)} of {len(outcomes)} songs could not be separated: {reasons}{more} (the others are kept)"
        )
        self.outcomes = outcomes


# One worker: a song keeps all cores busy, and two at once would only need twice the memory.
@flow(
    name="separate-batch",
    flow_run_name=run_name("separate", paths="", params="by"),
    task_runner=task_runner(workers=1),
    on_running=[note_run],
)
def separate_batch(
    paths: list[Path],
    out: Path,
    params: str = "2stems",
    filename_format: str = DEFAULT_FORMAT,
    codec: str | None = None,
    options: StemFileOptions | None = None,
    mwf: bool | None = None,
    engine: EngineName = "auto",
    overlap: Overlap = 0.0,
    shifts: Shifts = 1,
    precision: Precision = "float32",
    overwrite: bool = False,
    settled_s: float | None = None,
) -> list[Outcome]:
    """Separate the songs of folders and files that are not done; one that fails does not stop the others.

    Args:
        paths: Files, and folders at any depth; one whose name is not UTF-8 as a ``file:`` URL.
        out: Folder of the stems.
        params: What ``-p`` takes.
        filename_format: Spleeter's ``-f``.
        codec: Of the stems; None: the options'.
        options: What is read of each file and how stems are written.
        mwf: Wiener filtering; None: as the config says.
        engine: Runtime of the network; auto: OpenVINO on a CPU, TensorFlow on a GPU.
        overlap: Part of a segment that it shares with the next.
        shifts: So many separations, each at another place, of which the mean is taken.
        precision: Arithmetic of the network.
        overwrite: Separate again what is done.
        settled_s: Of a watched folder: leave songs that were changed in these last seconds for the next run, and those
            that failed before until they change.

    Raises:
        SomeFailed: songs could not be separated; the others are.
    """
    paths, out, params = [sent_path(path) for path in paths], sent_path(out), str(sent_path(Path(params)))
    settings = SeparatorSettings(model_anywhere(params), mwf, engine, overlap, shifts, precision)
    chosen = options or StemFileOptions()
    chosen = replace(chosen, codec=codec or chosen.codec)
    batch = plan(paths, out, settings, chosen, filename_format=filename_format, settled_s=settled_s)
    prepare_output(batch.songs, out)
    skipped = {} if overwrite else look_for_done(batch, by_time=settled_s is not None)
    pending = [song for song in batch.songs if song.path not in skipped]

    def separate(songs: Sequence[Song]) -> dict[Path, Outcome]:
        return _separate(songs, batch, overwrite=overwrite)

    if settled_s is None:
        new, before = separate(pending), {}
    else:
        new, before = try_new(batch, pending, separate)
    found = skipped | before | new
    outcomes = conclude(replace(batch, songs=[song for song in batch.songs if song.path in found]), found)
    show_batch(outcomes, out)
    if any(outcome.status == "failed" for outcome in new.values()):
        raise SomeFailed(outcomes)
    return outcomes


def flow_parameters(settings: SeparatorSettings) -> dict[str, Any]:
    """Settings as the flow takes them, one by one, so that Prefect's form shows them so."""
    parameters = asdict(settings)
    return {"params": sendable(Path(parameters.pop("model"))), **parameters}


def _separate(songs: Sequence[Song], batch: Batch, *, overwrite: bool) -> dict[Path, Outcome]:
    remove_other_records(songs)
    by_absolute = {song.absolute(): song for song in songs}
    tasks = finished_tasks(
        separate_one,
        by_absolute,
        batch.separator.settings,
        batch.options,
        PlannedModel.of(batch.separator),
        overwrite,
        description="separate",
        total=len(songs),
    )
    outcomes = {}
    for absolute, future in tasks:
        song = by_absolute[absolute].path
        try:
            outcomes[song] = replace(future.result(), song=song)
        except SongFailed as error:
            outcomes[song] = replace(error.outcome, song=song)
        except OSError as error:
            outcomes[song] = failed(song, error)
    remove_half_written(songs, batch.out)  # of a cluster's worker that was killed, whose songs others then did
    return outcomes
