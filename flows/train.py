"""The whole way of a model: ingest (if asked) → cache → train → evaluate (where there is a test set) → publish."""

import argparse
import json
from pathlib import Path

from flows.command import (
    add_data_option,
    add_params_option,
    add_releases_option,
    add_run_options,
    check_first,
    command_parser,
    release_version,
    run_command,
    set_up_process,
)
from flows.download import locate_with_bar
from flows.inputs import check_ffmpeg, check_manifests, check_musdb_folder, check_trainable, parts_to_cache
from flows.runners import RunnerName, add_runner_options, check_runner, check_scheduler, task_runner
from flows.terminal import progress_bar, say
from sepcore import load_config
from sepcore.config import ModelConfig
from sepcore.config_file import model_name, parse_config
from sepcore.dataset.manifest import load_manifest
from sepcore.output_folder import check_writable
from sepcore.training.initial_model import check_initial_model
from sepcore.training.run_choice import check_unchanged, choose_run


def _arguments() -> argparse.Namespace:
    parser = command_parser("train", __doc__)
    add_params_option(parser)
    add_data_option(parser)
    parser.add_argument(
        "--musdb-root",
        type=Path,
        metavar="DIR",
        help="train on MUSDB18 or a set in its layout instead of the config's CSVs",
    )
    parser.add_argument("--max-steps", type=int, metavar="N", help="instead of the config's train_max_steps")
    parser.add_argument(
        "--init-from",
        metavar="MODEL",
        help="start from the weights of this model (what -p takes), e.g. 2stems; instruments it has not start fresh",
    )
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--fresh", action="store_true", help="start anew beside the run that there is, which is kept")
    again.add_argument(
        "--force", action="store_true", help="go on in the unfinished run, though the config has changed since"
    )
    parser.add_argument(
        "--version", type=release_version, metavar="V", help="publish the model as this version, e.g. 1.0.0"
    )
    add_releases_option(parser)
    add_run_options(parser)
    add_runner_options(parser)
    arguments = parser.parse_args()
    check_runner(parser, arguments)
    if arguments.max_steps is not None and arguments.max_steps < 1:
        parser.error(f"--max-steps is {arguments.max_steps}; give at least 1")
    if arguments.musdb_root is not None and arguments.data is not None:
        parser.error("-d is for the config's CSVs; leave it out with --musdb-root")
    set_up_process(arguments.verbose)
    check_first(lambda: _check(arguments))
    return arguments


def _check(arguments: argparse.Namespace) -> None:
    check_ffmpeg()
    config = _config(arguments.params, arguments.max_steps, arguments.init_from)
    check_unchanged(
        arguments.work_dir, model_name(arguments.params), config, fresh=arguments.fresh, force=arguments.force
    )
    if config.init_from is not None:
        check_initial_model(locate_with_bar(config.init_from).config, config, config.init_from)
    if arguments.musdb_root is not None:
        check_trainable(config)
        check_musdb_folder(arguments.musdb_root, "train")
    else:
        check_manifests(config)
        if config.test_csv:
            load_manifest(Path(config.test_csv), config, data_dir=arguments.data)
    check_writable(arguments.work_dir, "--work-dir")
    check_scheduler(arguments.scheduler)


def _config(params: str, max_steps: int | None, init_from: str | None) -> ModelConfig:
    """The config with what the command line says otherwise."""
    config, given = load_config(params), {"train_max_steps": max_steps, "init_from": init_from}
    changed = {key: value for key, value in given.items() if value is not None}
    return parse_config(json.dumps(json.loads(config.to_json()) | changed), params) if changed else config


# Parsed before Prefect's imports, so that --help and a wrong argument are answered at once.
ARGUMENTS = _arguments() if __name__ == "__main__" else None

from prefect import flow  # noqa: E402

from flows.cache import cache  # noqa: E402
from flows.checked_songs import checked_manifests  # noqa: E402
from flows.evaluate import WORKERS, evaluate  # noqa: E402
from flows.ingest import ingest  # noqa: E402
from flows.progress import TrainingProgress, print_scores  # noqa: E402
from flows.publish import publish  # noqa: E402
from sepcore.dataset.cache.index import read_index  # noqa: E402
from sepcore.errors import DatasetError, GateRefused  # noqa: E402
from sepcore.evaluation.scores import ScoreSummary  # noqa: E402
from sepcore.training.run_folder import RunFolder  # noqa: E402
from tasks.mlflow_store import check_store  # noqa: E402
from tasks.training import TrainingSet, train_model  # noqa: E402


@flow(name="train")
def train(
    params: str,
    data_dir: Path | None = None,
    musdb_root: Path | None = None,
    max_steps: int | None = None,
    init_from: str | None = None,
    fresh: bool = False,
    force: bool = False,
    version: str | None = None,
    work_dir: Path = Path("runs"),
    releases: Path = Path("releases"),
    runner: RunnerName = "local",
    scheduler: str | None = None,
    workers: int | None = None,
) -> Path:
    """Train the model of a config; every stage finds what is done of it from its own files.

    Args:
        params: What ``-p`` takes.
        data_dir: Folder of the config's manifests' relative paths.
        musdb_root: A MUSDB set to train on instead of the config's manifests.
        max_steps: Instead of the config's ``train_max_steps``.
        init_from: Instead of the config's ``init_from``.
        fresh: Start anew beside the run that there is.
        force: Go on in an unfinished run of another config.
        version: Publish under this version.
        work_dir: Folder of the runs.
        releases: Folder of the releases.
        runner: Where songs are ingested, checked, cached and scored: this machine or a Dask cluster.
        scheduler: Address of the cluster.
        workers: Songs at a time on this machine; None: as many as it has cores.

    Returns:
        The run folder.
    """
    config, name = _config(params, max_steps, init_from), model_name(params)
    check_unchanged(work_dir, name, config, fresh=fresh, force=force)
    check_store()
    train_csv = validation_csv = None
    test_csv = Path(config.test_csv) if config.test_csv else None
    on_runner = {"task_runner": task_runner(runner, scheduler, workers)}
    if musdb_root is not None:
        manifests = ingest.with_options(**on_runner)(
            musdb_root, Path("data") / f"{musdb_root.resolve().name}-{name}", params
        )
        train_csv, validation_csv, test_csv = manifests["train"], manifests["validation"], manifests["test"]
        data_dir = None  # the manifests' paths are relative to themselves
    test_songs = load_manifest(test_csv, config, data_dir=data_dir) if test_csv else []
    if test_csv and test_songs:
        # Now: what is wrong with them shall not come to light after hours of training.
        check_test_songs.with_options(**on_runner)(params, test_csv, data_dir, work_dir)

    shards = cache.with_options(**on_runner)(params, train_csv, validation_csv, data_dir)
    parts = parts_to_cache(config, train_csv=train_csv, validation_csv=validation_csv)
    data = TrainingSet(*(part.csv for part in parts), shards["training"], shards["validation"], data_dir, test_csv)
    dataset = read_index(data.training_shards, config).fingerprint()
    run = choose_run(work_dir, name, config, dataset, fresh=fresh, force=force)
    if not run.is_done(config):
        with progress_bar() as bar:
            report = TrainingProgress(bar, name, config.train_max_steps)
            where = train_model(name, config, run, data, report)
        say([where])

    if test_csv is not None and test_songs:
        for_scores = task_runner(runner, scheduler, workers or WORKERS)
        evaluate.with_options(task_runner=for_scores)(str(run.path), run.evaluation, csv=test_csv, data_dir=data_dir)
    if version is not None:
        publish([str(run.path)], version, releases=releases, work_dir=work_dir)
    return run.path


@flow(name="check-test-songs", task_runner=task_runner())
def check_test_songs(params: str, test_csv: Path, data_dir: Path | None, work_dir: Path) -> None:
    """Refuse test songs that cannot be read; the report stands beside the CSV, or in ``work_dir``."""
    config = load_config(params)
    (report,) = checked_manifests([(test_csv, work_dir)], config, data_dir, for_training=False)
    if len(report.usable) < report.num_rows:
        raise DatasetError(f"{test_csv}: has songs that cannot be scored (see above); mend them or take them out.")


def _main(arguments: argparse.Namespace) -> None:
    try:
        folder = train(
            arguments.params,
            data_dir=arguments.data,
            musdb_root=arguments.musdb_root,
            max_steps=arguments.max_steps,
            init_from=arguments.init_from,
            fresh=arguments.fresh,
            force=arguments.force,
            version=arguments.version,
            work_dir=arguments.work_dir,
            releases=arguments.releases,
            runner=arguments.runner,
            scheduler=arguments.scheduler,
            workers=arguments.workers,
        )
    except GateRefused:
        say(["the training itself is kept"])
        raise
    run = RunFolder(folder)
    if run.scores.is_file():
        print_scores(ScoreSummary.from_json(run.scores.read_text("utf-8")))
    say([f"run: {folder}", f"separate with it: python -m flows.separate_batch SONGS -o OUT -p {folder}"])


if __name__ == "__main__":
    assert ARGUMENTS is not None
    run_command(lambda: _main(ARGUMENTS))
