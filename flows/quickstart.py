"""The whole job once on a small made-up dataset: dataset, ingest, cache, train, evaluate, publish, separate."""

import argparse
import os
from pathlib import Path

from flows.support.command import check_first, command_parser, run_command, set_up_process
from flows.support.inputs import check_ffmpeg
from flows.support.prefect_server import start_prefect
from sepcore.urls import shown

FOLDER = Path("data/quickstart")


def _arguments() -> argparse.Namespace:
    parser = command_parser("quickstart", __doc__)
    parser.add_argument("--max-steps", type=int, metavar="N", help="train for so many steps (default: the config's)")
    arguments = parser.parse_args()
    if arguments.max_steps is not None and arguments.max_steps < 1:
        parser.error(f"--max-steps is {arguments.max_steps}; give at least 1")
    set_up_process(arguments.verbose)
    check_first(check_ffmpeg)
    # All that the quickstart makes lies in one folder, the models that it unpacks too.
    os.environ["MODEL_PATH"] = str(FOLDER / "models")
    start_prefect()
    return arguments


# Parsed before Prefect's imports, so that --help and a wrong argument are answered at once.
ARGUMENTS = _arguments() if __name__ == "__main__" else None

from dataclasses import dataclass  # noqa: E402

from prefect import flow  # noqa: E402

from flows.ingest import ingest  # noqa: E402
from flows.separate_batch_flow import separate_batch  # noqa: E402
from flows.support.progress import print_scores  # noqa: E402
from flows.support.terminal import say  # noqa: E402
from flows.train import train  # noqa: E402
from sepcore.dataset.synthetic import write_dataset  # noqa: E402
from sepcore.evaluation.scores import ScoreSummary  # noqa: E402
from sepcore.training.run_folder import RunFolder  # noqa: E402
from tasks.dead_runs import note_run  # noqa: E402
from tasks.tracking import tracking_uri  # noqa: E402

_CONFIG = "quickstart"
_VERSION = "0.1.0"
_SONGS = {"num_train": 8, "num_validation": 2, "num_test": 2, "duration_s": 20.0, "seed": 7}


@dataclass(frozen=True)
class QuickstartResult:
    """Where the products of the quickstart lie."""

    run: Path
    release: Path
    stems: Path


@flow(name="quickstart", flow_run_name="quickstart", on_running=[note_run])
def quickstart(max_steps: int | None = None) -> QuickstartResult:
    """Walk the whole job; what is done already is found and not done again."""
    write_dataset(FOLDER / "dataset", **_SONGS)
    ingest(FOLDER / "dataset", FOLDER / "manifests", _CONFIG)
    releases, stems = FOLDER / "releases", FOLDER / "separated"
    run = train(_CONFIG, max_steps=max_steps, version=_VERSION, work_dir=FOLDER / "runs", releases=releases)
    release = releases / _VERSION / f"{_CONFIG}.tar.gz"
    mixtures = sorted((FOLDER / "dataset" / "test").glob("*/mixture.wav"))
    separate_batch(mixtures, stems, str(release), filename_format="{foldername}/{instrument}.{codec}")
    return QuickstartResult(run, release, stems)


def _main(arguments: argparse.Namespace) -> None:
    result = quickstart(arguments.max_steps)
    print_scores(ScoreSummary.from_json(RunFolder(result.run).scores.read_text("utf-8")))
    say(
        [
            f"run:      {result.run}",
            f"release:  {result.release}",
            f"stems:    {result.stems}",
            f"tracking: {shown(tracking_uri())}",
            "browse the run:        make ui",
            f"separate your songs:   python -m flows.separate_batch SONGS -o OUT -p {result.release}",
            "train on MUSDB18:      python -m flows.train -p musdb --musdb-root MUSDB18",
        ]
    )


if __name__ == "__main__":
    assert ARGUMENTS is not None
    run_command(lambda: _main(ARGUMENTS))
