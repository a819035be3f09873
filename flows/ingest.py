"""MUSDB18 or a set in its layout to train.csv, validation.csv and test.csv."""

import argparse
import os
from pathlib import Path

from flows.command import add_params_option, check_first, command_parser, run_command, set_up_process
from flows.inputs import check_ffmpeg, check_musdb_folder
from sepcore import load_config
from sepcore.output_folder import check_writable


def _arguments() -> argparse.Namespace:
    parser = command_parser("ingest", __doc__)
    parser.add_argument(
        "--musdb-root",
        type=Path,
        default=os.environ.get("MUSDB_PATH"),
        metavar="DIR",
        help="MUSDB18 (.stem.mp4) or MUSDB18-HQ (wav folders); a mus.yaml in it is musdb's setup (default: MUSDB_PATH)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the CSVs and decoded audio")
    add_params_option(parser, default="musdb")
    arguments = parser.parse_args()
    if arguments.musdb_root is None:
        parser.error("--musdb-root is missing: give the folder of MUSDB18, or set MUSDB_PATH")
    set_up_process(arguments.verbose)
    check_first(lambda: _check(arguments))
    return arguments


def _check(arguments: argparse.Namespace) -> None:
    load_config(arguments.params)
    check_ffmpeg()
    check_musdb_folder(arguments.musdb_root, "train", "test")
    check_writable(arguments.out, "--out")


# Parsed before Prefect's imports, so that --help and a wrong argument are answered at once.
ARGUMENTS = _arguments() if __name__ == "__main__" else None

from prefect import flow, unmapped  # noqa: E402
from prefect.task_runners import ThreadPoolTaskRunner  # noqa: E402

from flows.progress import results, say  # noqa: E402
from sepcore.dataset.ingest.musdb import Split, check_instruments, list_tracks, write_manifests  # noqa: E402
from tasks.dataset import ingest_song  # noqa: E402


@flow(name="ingest", task_runner=ThreadPoolTaskRunner(max_workers=2))
def ingest(musdb_root: Path, out: Path, params: str = "musdb") -> dict[Split, Path]:
    """Decode what must be decoded of a MUSDB set and list its songs in three CSVs."""
    config = load_config(params)
    tracks = list_tracks(musdb_root)
    check_instruments(tracks, config)
    rows = results(ingest_song.map(tracks, unmapped(out), unmapped(config)), "ingest")
    return write_manifests(tracks, rows, out, config)


def _main(arguments: argparse.Namespace) -> None:
    manifests = ingest(arguments.musdb_root, arguments.out, arguments.params)
    say(f"{split}: {path}" for split, path in manifests.items())


if __name__ == "__main__":
    assert ARGUMENTS is not None
    run_command(lambda: _main(ARGUMENTS))
