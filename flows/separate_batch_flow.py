"""The folder command as a Prefect flow: a task run for each song that is not done."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from prefect import flow

from flows.batch import Batch, conclude, look_for_done, plan
from flows.runners import model_anywhere, task_runner
from flows.song_tasks import finished_tasks
from sepcore.batch.outcome import Outcome, failed
from sepcore.batch.plan import Song, prepare_output
from sepcore.engines.base import Precision
from sepcore.engines.select import EngineName
from sepcore.separator_settings import SeparatorSettings
from sepcore.stem_files.names import DEFAULT_FORMAT
from sepcore.stem_files.options import StemFileOptions
from tasks.separation import separate_one


# One worker: a song keeps all cores busy, and two at once would only need twice the memory.
@flow(name="separate-batch", task_runner=task_runner(workers=1))
def separate_batch(
    paths: list[Path],
    out: Path,
    params: str = "2stems",
    filename_format: str = DEFAULT_FORMAT,
    codec: str | None = None,
    options: StemFileOptions | None = None,
    mwf: bool | None = None,
    engine: EngineName = "auto",
    overlap: float = 0.0,
    shifts: int = 1,
    precision: Precision = "float32",
    overwrite: bool = False,
    settled_s: float | None = None,
) -> list[Outcome]:
    """Separate the songs of folders and files that are not done; one that fails does not stop the others.

    Args:
        paths: Files, and folders at any depth.
        out: Folder of the stems.
        params: What ``-p`` takes.
        filename_format: Spleeter's ``-f``.
        codec: Of the stems; None: the options'.
        options: What is read of each file and how stems are written.
        mwf: Wiener filtering; None: as the config says.
        engine: See `SeparatorSettings`.
        overlap: See `SeparatorSettings`.
        shifts: See `SeparatorSettings`.
        precision: See `SeparatorSettings`.
        overwrite: Separate again what is done.
        settled_s: Of a watched folder: leave songs that were changed in these last seconds for the next run.
    """
    settings = SeparatorSettings(model_anywhere(params), mwf, engine, overlap, shifts, precision)
    chosen = options or StemFileOptions()
    chosen = replace(chosen, codec=codec or chosen.codec)
    batch = plan(paths, out, settings, chosen, filename_format=filename_format, settled_s=settled_s)
    prepare_output(batch.songs, out)
    skipped = {} if overwrite else look_for_done(batch, by_time=settled_s is not None)
    pending = [song for song in batch.songs if song.path not in skipped]
    return conclude(batch, skipped | _separate(pending, batch))


def flow_parameters(settings: SeparatorSettings) -> dict[str, Any]:
    """Settings as the flow takes them, one by one, so that Prefect's form shows them so."""
    parameters = asdict(settings)
    return {"params": parameters.pop("model"), **parameters}


def _separate(songs: Sequence[Song], batch: Batch) -> dict[Path, Outcome]:
    by_absolute = {song.absolute(): song for song in songs}
    tasks = finished_tasks(
        separate_one,
        by_absolute,
        batch.separator.settings,
        batch.options,
        description="separate",
        total=len(songs),
    )
    outcomes = {}
    for absolute, future in tasks:
        song = by_absolute[absolute].path
        try:
            outcomes[song] = replace(future.result(), song=song)
        except OSError as error:
            outcomes[song] = failed(song, error)
    return outcomes
