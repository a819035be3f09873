"""The ingest flow: decode what must be decoded of a multitrack set and list its songs in CSVs."""

from pathlib import Path

from prefect import flow

from flows.ingest.options import FRACTION, Options
from flows.support.flow_options import run_name
from flows.support.runners import task_runner
from flows.support.song_tasks import finished_tasks
from flows.support.terminal import say
from sepcore.config.load import model_name
from sepcore.config.model_config import ModelConfig
from sepcore.dataset.ingest.manifests import claim_manifests, left_out_file, write_manifests
from sepcore.dataset.ingest.plan import SplitScheme, plan_ingest
from sepcore.dataset.ingest.songs import SPLITS, Split, find_dataset
from sepcore.dataset.ingest.targets import LeftOut
from sepcore.dataset.manifest import TrackRow
from sepcore.errors import AudioDecodeError, DatasetError
from sepcore.system.printable import printable
from tasks.dataset import ingest_song
from tasks.dead_runs import note_run

_SHOWN_LEFT_OUT = 10


@flow(
    name="ingest",
    flow_run_name=run_name("ingest", musdb_root="", stems_root="", name="for"),
    task_runner=task_runner(),
    on_running=[note_run],
)
def ingest(
    config: ModelConfig,
    name: str,
    out: Path,
    musdb_root: Path | None = None,
    stems_root: Path | None = None,
    split: SplitScheme | None = None,
    validation_fraction: float = FRACTION,
    test_fraction: float = FRACTION,
    layout: str = "folders",
    overwrite: bool = False,
) -> dict[Split, Path]:
    """Decode what must be decoded of a multitrack set and list its songs in three CSVs.

    Songs that lack an instrument or cannot be decoded are left out, printed and listed in ``left_out.csv``; if none is
    left, that is an error.

    Args:
        config: Its instruments, rate and channels are what the recordings become.
        name: Name of the config.
        out: Folder of the CSVs and of decoded audio.
        musdb_root: MUSDB18 or a set in its layout.
        stems_root: Instead of ``musdb_root``: a folder of folders of recordings.
        split: None: the set's own, or a fraction where it has none.
        validation_fraction: Of the schemes fraction and artist.
        test_fraction: Of the schemes fraction and artist, where the set has no test songs of its own.
        layout: Of ``stems_root``, one of `LAYOUTS`.
        overwrite: Replace also CSVs in ``out`` that ingest did not write or somebody edited since.

    Returns:
        The manifest of each split.
    """
    plan = plan_ingest(
        find_dataset(musdb_root, stems_root, layout),
        config,
        split=split,
        validation_fraction=validation_fraction,
        test_fraction=test_fraction,
    )
    if not overwrite:
        claim_manifests(out, plan, config)
    say(plan.notes)
    rows: dict[Split, list[TrackRow]] = {split: [] for split in SPLITS}
    left_out = list(plan.left_out)
    # Absolute: the workers of a cluster have another working directory.
    for song, future in finished_tasks(
        ingest_song, plan.splits, out.absolute(), config, description="ingest", total=len(plan.splits)
    ):
        try:
            rows[plan.splits[song]].append(future.result())
        except (AudioDecodeError, DatasetError) as error:  # its own fault; a full disk is everybody's
            left_out.append(LeftOut(song.name, printable(error.reason), error.hint))
    manifests = write_manifests(rows, left_out, out, config, overwrite=overwrite)
    say(f"{split}: {manifests[split]} (songs: {len(rows[split])})" for split in SPLITS)
    say(f"left out: {song.song}: {song.reason}" for song in left_out[:_SHOWN_LEFT_OUT])
    if left_out:
        say([f"songs left out: {len(left_out)}; {left_out_file(out)} lists them and says what to do"])
    return manifests


def main(options: Options) -> int:
    """Ingest a set; 1 if songs were left out."""
    ingest.with_options(task_runner=options.task_runner())(
        options.config(),
        model_name(options.params),
        options.out,
        options.musdb(),
        options.stems_root,
        options.split,
        options.validation_fraction,
        options.test_fraction,
        options.layout,
        options.overwrite,
    )
    return 1 if left_out_file(options.out).is_file() else 0
