"""The folder command as a Prefect flow: a task run per song."""

from dataclasses import replace
from pathlib import Path

from prefect import flow, unmapped
from prefect.task_runners import ThreadPoolTaskRunner

from flows.progress import results
from flows.separate_batch import plan
from sepcore import Separator
from sepcore.batch.run import Outcome
from sepcore.stem_files.names import DEFAULT_FORMAT
from sepcore.stem_files.options import StemFileOptions
from tasks.separation import separate_one


# One worker: a song keeps all cores busy, and two at once would only need twice the memory.
@flow(name="separate-batch", task_runner=ThreadPoolTaskRunner(max_workers=1))
def separate_batch(
    paths: list[Path],
    out: Path,
    params: str = "2stems",
    filename_format: str = DEFAULT_FORMAT,
    codec: str = "wav",
    mwf: bool | None = None,
    options: StemFileOptions | None = None,
) -> list[Outcome]:
    """Separate folders and files; a file that fails does not stop the others.

    Args:
        paths: Files, and folders at any depth.
        out: Folder of the stems.
        params: What ``-p`` takes.
        filename_format: Spleeter's ``-f``.
        codec: Of the stems.
        mwf: Wiener filtering; None: as the config says.
        options: What is read of each file and how stems are written; ``codec`` stands instead of its codec.
    """
    songs = plan(paths, out, params, filename_format=filename_format, codec=codec)
    separator = Separator(params, mwf=mwf)
    chosen = replace(options or StemFileOptions(), codec=codec)
    return results(separate_one.map(unmapped(separator), songs, unmapped(chosen)), "separate")
