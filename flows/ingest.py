"""MUSDB18, a set in its layout, or any folder of multitrack songs to train.csv, validation.csv and test.csv."""

import argparse
import os
from pathlib import Path

from flows.support.command import add_params_option, check_first, command_parser, run_command, set_up_process
from flows.support.inputs import check_ffmpeg
from flows.support.prefect_server import start_prefect
from flows.support.runners import add_runner_options, check_runner, check_scheduler, task_runner
from flows.support.terminal import say
from sepcore import load_config
from sepcore.dataset.ingest.manifests import claim_manifests, left_out_file, write_manifests
from sepcore.dataset.ingest.plan import LAYOUTS, find_dataset, plan_ingest
from sepcore.dataset.ingest.splits import SPLIT_SCHEMES, SplitScheme
from sepcore.output_folder import check_writable

_DESCRIPTION = f"""{__doc__} Audio is decoded and resampled once; files that have the config's rate and channels are
used where they lie. A song that cannot be decoded or lacks an instrument is left out and named: the manifests list
the others, left_out.csv says why, and the exit code is 1. Run it again after mending them; what is done is kept."""
_FRACTION = 0.1


def _arguments() -> argparse.Namespace:
    parser = command_parser("ingest", _DESCRIPTION)
    parser.add_argument(
        "--musdb-root",
        type=Path,
        metavar="DIR",
        help="MUSDB18 (.stem.mp4) or MUSDB18-HQ (wav folders); a mus.yaml in it is musdb's setup (default: MUSDB_PATH)",
    )
    parser.add_argument(
        "--stems-root",
        type=Path,
        metavar="DIR",
        help="any other set: DIR/<song>/<instrument>.wav (flac, mp3, …), or DIR/train|validation|test/<song>/…; "
        "the mixture is called mixture or mix, and made from the stems where it is missing; the config's "
        'instrument_mapping, as {"other": ["piano", "guitar"]}, says which recordings make up an instrument',
    )
    parser.add_argument(
        "--layout", choices=tuple(LAYOUTS), help="how --stems-root is laid out (default: folders, as said there)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the CSVs and decoded audio")
    add_params_option(parser, default="musdb")
    parser.add_argument(
        "--split",
        choices=SPLIT_SCHEMES,
        help="musdb's or the set's own, a fraction of the songs, or whole artists (what stands before ' - ' in a "
        "song's name); the set's own test songs stay test songs (default: its own, or fraction where it has none)",
    )
    for split, which in (("validation", ""), ("test", ", where the set has no test songs")):
        parser.add_argument(
            f"--{split}-fraction",
            type=float,
            metavar="X",
            help=f"share of the songs for {split} by --split fraction or artist{which} (default: {_FRACTION})",
        )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace CSVs in --out that ingest did not write or somebody edited since",
    )
    add_runner_options(parser)
    arguments = parser.parse_args()
    check_runner(parser, arguments)
    if arguments.stems_root is None:
        arguments.musdb_root = arguments.musdb_root or os.environ.get("MUSDB_PATH")
        if not arguments.musdb_root:
            cure = "give the folder of MUSDB18, or set MUSDB_PATH; --stems-root is for any other set"
            parser.error(f"--musdb-root is missing: {cure}")
        arguments.musdb_root = Path(arguments.musdb_root)
    elif arguments.musdb_root is not None:
        parser.error("--musdb-root and --stems-root are both given; ingest one set at a time")
    elif arguments.split == "musdb":
        parser.error("--split musdb is for --musdb-root; own, fraction and artist are for --stems-root")
    if arguments.layout is None:
        arguments.layout = "folders"
    elif arguments.stems_root is None:
        parser.error("--layout is for --stems-root; MUSDB has its own")
    for name in ("validation_fraction", "test_fraction"):
        if getattr(arguments, name) is None:
            setattr(arguments, name, _FRACTION)
        elif arguments.split not in ("fraction", "artist"):
            option = f"--{name.replace('_', '-')}"
            parser.error(f"{option} is for --split fraction or artist; add one of them, or leave {option} out")
    set_up_process(arguments.verbose)
    check_first(lambda: _check(arguments))
    start_prefect()
    return arguments


def _check(arguments: argparse.Namespace) -> None:
    check_ffmpeg()
    config = load_config(arguments.params)
    plan = plan_ingest(
        find_dataset(arguments.musdb_root, arguments.stems_root, arguments.layout),
        config,
        split=arguments.split,
        validation_fraction=arguments.validation_fraction,
        test_fraction=arguments.test_fraction,
    )
    check_writable(arguments.out, "--out")
    if not arguments.overwrite:
        claim_manifests(arguments.out, plan, config)
    check_scheduler(arguments.scheduler)


# Parsed before Prefect's imports, so that --help and a wrong argument are answered at once.
ARGUMENTS = _arguments() if __name__ == "__main__" else None

from prefect import flow  # noqa: E402

from flows.support.parameters import Share  # noqa: E402
from flows.support.run_names import run_name  # noqa: E402
from flows.support.song_tasks import finished_tasks  # noqa: E402
from sepcore.dataset.ingest.recording import SPLITS, Split  # noqa: E402
from sepcore.dataset.ingest.targets import LeftOut  # noqa: E402
from sepcore.dataset.manifest import TrackRow  # noqa: E402
from sepcore.errors import AudioDecodeError, DatasetError  # noqa: E402
from sepcore.printable import printable  # noqa: E402
from tasks.dataset import ingest_song  # noqa: E402
from tasks.dead_runs import note_run  # noqa: E402

_SHOWN_LEFT_OUT = 10


@flow(
    name="ingest",
    flow_run_name=run_name("ingest", musdb_root="", stems_root="", params="for"),
    task_runner=task_runner(),
    on_running=[note_run],
)
def ingest(
    musdb_root: Path | None,
    out: Path,
    params: str = "musdb",
    stems_root: Path | None = None,
    split: SplitScheme | None = None,
    validation_fraction: Share = _FRACTION,
    test_fraction: Share = _FRACTION,
    layout: str = "folders",
    overwrite: bool = False,
) -> dict[Split, Path]:
    """Decode what must be decoded of a multitrack set and list its songs in three CSVs.

    Songs that lack an instrument or cannot be decoded are left out, said on the terminal and listed in
    ``left_out.csv``; none left is an error.

    Args:
        musdb_root: MUSDB18 or a set in its layout.
        out: Folder of the CSVs and of decoded audio.
        params: What ``-p`` takes.
        stems_root: Instead of ``musdb_root``: a folder of folders of recordings.
        split: None: the set's own, or a fraction where it has none.
        validation_fraction: Of the schemes fraction and artist.
        test_fraction: Of the schemes fraction and artist, where the set has no test songs of its own.
        layout: Of ``stems_root``, one of `LAYOUTS`.
        overwrite: Replace also CSVs in ``out`` that ingest did not write or somebody edited since.

    Returns:
        The manifest of each split.
    """
    config = load_config(params)
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
            left_out.append(LeftOut(song.name, printable(str(error))))
    manifests = write_manifests(rows, left_out, out, config, overwrite=overwrite)
    say(f"{split}: {manifests[split]} (songs: {len(rows[split])})" for split in SPLITS)
    say(f"left out: {song.song}: {song.reason}" for song in left_out[:_SHOWN_LEFT_OUT])
    if left_out:
        say([f"songs left out: {len(left_out)}; {left_out_file(out)} lists them and says what to do"])
    return manifests


def _main(arguments: argparse.Namespace) -> int:
    ingest.with_options(task_runner=task_runner(arguments.runner, arguments.scheduler, arguments.workers))(
        arguments.musdb_root,
        arguments.out,
        arguments.params,
        arguments.stems_root,
        arguments.split,
        arguments.validation_fraction,
        arguments.test_fraction,
        arguments.layout,
        arguments.overwrite,
    )
    return 1 if left_out_file(arguments.out).is_file() else 0


if __name__ == "__main__":
    assert ARGUMENTS is not None
    run_command(lambda: _main(ARGUMENTS))
