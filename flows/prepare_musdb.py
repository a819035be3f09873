"""MUSDB18, or a set in its layout, all the way to shards that training reads: ingest, check, cache."""

import argparse
from pathlib import Path

from flows.support.command import add_params_option, check_first, command_parser, run_command, set_up_process
from flows.support.inputs import check_ffmpeg, check_musdb_folder, check_trainable
from flows.support.prefect_server import start_prefect
from flows.support.runners import RunnerName, add_runner_options, check_runner, check_scheduler, task_runner
from flows.training_inputs import MUSDB_OF_ENVIRONMENT, manifests_of_musdb, musdb_of
from sepcore import load_config
from sepcore.config_file import model_name
from sepcore.errors import ConfigError


def _arguments() -> argparse.Namespace:
    parser = command_parser("prepare_musdb", f"{__doc__} flows.train --musdb-root then finds them done.")
    parser.add_argument(
        "--musdb-root",
        type=Path,
        default=MUSDB_OF_ENVIRONMENT,
        metavar="DIR",
        help="MUSDB18 (.stem.mp4) or MUSDB18-HQ (wav folders) (default: MUSDB_PATH)",
    )
    add_params_option(parser, default="musdb")
    add_runner_options(parser)
    arguments = parser.parse_args()
    check_runner(parser, arguments)
    set_up_process(arguments.verbose)
    check_first(lambda: _check(arguments))
    start_prefect()
    return arguments


def _check(arguments: argparse.Namespace) -> None:
    _musdb(arguments.musdb_root, arguments.params)
    check_scheduler(arguments.scheduler)


def _musdb(musdb_root: Path, params: str) -> Path:
    """The set that is meant, if it can be prepared for this config; ConfigError or DatasetError otherwise."""
    check_ffmpeg()
    check_trainable(load_config(params))
    musdb = musdb_of(musdb_root)
    if musdb is None:
        raise ConfigError("no MUSDB set is named: set MUSDB_PATH, or give --musdb-root DIR (--param musdb_root=DIR).")
    check_musdb_folder(musdb, "train")
    return musdb


# Parsed before Prefect's imports, so that --help and a wrong argument are answered at once.
ARGUMENTS = _arguments() if __name__ == "__main__" else None

from prefect import flow  # noqa: E402
from pydantic import PositiveInt  # noqa: E402

from flows.cache import cache  # noqa: E402
from flows.ingest import ingest  # noqa: E402
from flows.support.run_names import run_name  # noqa: E402
from flows.support.terminal import say  # noqa: E402
from tasks.dead_runs import note_run  # noqa: E402


@flow(name="prepare-musdb", flow_run_name=run_name("prepare", musdb_root="", params="for"), on_running=[note_run])
def prepare_musdb(
    params: str = "musdb",
    musdb_root: Path = MUSDB_OF_ENVIRONMENT,
    runner: RunnerName = "local",
    scheduler: str | None = None,
    workers: PositiveInt | None = None,
) -> dict[str, Path]:
    """Ingest a MUSDB set and cache its spectrograms, where `flows.train` looks for them.

    Args:
        params: What ``-p`` takes.
        musdb_root: The set; ``$MUSDB_PATH``: the one that this variable names.
        runner: Where songs are worked on: this machine or a Dask cluster.
        scheduler: Address of the cluster.
        workers: Songs at a time on this machine; None: as many as it has cores.

    Returns:
        The indexes of the cached songs: ``training`` and ``validation``.
    """
    musdb = _musdb(musdb_root, params)
    on_runner = {"task_runner": task_runner(runner, scheduler, workers)}
    manifests = ingest.with_options(**on_runner)(musdb, manifests_of_musdb(musdb, model_name(params)), params)
    return cache.with_options(**on_runner)(params, manifests["train"], manifests["validation"])


def _main(arguments: argparse.Namespace) -> None:
    indexes = prepare_musdb(
        arguments.params, arguments.musdb_root, arguments.runner, arguments.scheduler, arguments.workers
    )
    say(f"{part}: {index}" for part, index in indexes.items())


if __name__ == "__main__":
    assert ARGUMENTS is not None
    run_command(lambda: _main(ARGUMENTS))
