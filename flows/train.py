"""The whole way of a model: ingest (if asked) → cache → train → evaluate (where there is a test set) → publish."""

import argparse
from pathlib import Path

from flows.support.command import (
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
from flows.support.inputs import parts_to_cache
from flows.support.prefect_server import start_prefect
from flows.support.runners import RunnerName, add_runner_options, check_runner, task_runner
from flows.support.terminal import progress_bar, say
from flows.training_inputs import check_training, config_of, initial_weights, manifests_of_musdb, musdb_of
from sepcore.config_file import model_name
from sepcore.dataset.manifest import load_manifest
from sepcore.training.run_choice import choose_run, unfinished_run, what_is_new


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
        "--force",
        action="store_true",
        help="go on in the unfinished run, though the config or the songs have changed since",
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
    start_prefect()
    return arguments


def _check(arguments: argparse.Namespace) -> None:
    check_training(
        arguments.params,
        config_of(arguments.params, arguments.max_steps, arguments.init_from),
        musdb_root=arguments.musdb_root,
        data_dir=arguments.data,
        work_dir=arguments.work_dir,
        fresh=arguments.fresh,
        force=arguments.force,
        scheduler=arguments.scheduler,
    )


# Parsed before Prefect's imports, so that --help and a wrong argument are answered at once.
ARGUMENTS = _arguments() if __name__ == "__main__" else None

from prefect import flow  # noqa: E402
from pydantic import PositiveInt  # noqa: E402

from flows.cache import cache  # noqa: E402
from flows.evaluate import WORKERS, evaluate  # noqa: E402
from flows.ingest import ingest  # noqa: E402
from flows.publish import publish  # noqa: E402
from flows.support.parameters import Version  # noqa: E402
from flows.support.progress import TrainingProgress, print_scores  # noqa: E402
from flows.support.run_names import run_name  # noqa: E402
from sepcore.dataset.cache.index import read_index  # noqa: E402
from sepcore.errors import GateRefused  # noqa: E402
from sepcore.evaluation.file_fingerprint import song_fingerprint, songs_fingerprint  # noqa: E402
from sepcore.evaluation.run_scores import run_scores  # noqa: E402
from sepcore.training.run_folder import RunFolder  # noqa: E402
from sepcore.training.run_inputs import RunInputs  # noqa: E402
from tasks.dead_runs import note_run  # noqa: E402
from tasks.mlflow_store import check_store  # noqa: E402
from tasks.summaries import show_pipeline  # noqa: E402
from tasks.training import TrainingSet, renew_run, train_model  # noqa: E402


@flow(name="train", flow_run_name=run_name("train", params="", musdb_root="on", version="for"), on_running=[note_run])
def train(
    params: str,
    data_dir: Path | None = None,
    musdb_root: Path | None = None,
    max_steps: PositiveInt | None = None,
    init_from: str | None = None,
    fresh: bool = False,
    force: bool = False,
    version: Version | None = None,
    work_dir: Path = Path("runs"),
    releases: Path = Path("releases"),
    runner: RunnerName = "local",
    scheduler: str | None = None,
    workers: PositiveInt | None = None,
) -> Path:
    """Train the model of a config; every stage finds what is done of it from its own files.

    Args:
        params: What ``-p`` takes.
        data_dir: Folder of the config's manifests' relative paths.
        musdb_root: A MUSDB set to train on instead of the config's manifests; ``$MUSDB_PATH``: the one that this
            variable names, if it is set.
        max_steps: Instead of the config's ``train_max_steps``.
        init_from: Instead of the config's ``init_from``.
        fresh: Start anew beside the run that there is.
        force: Go on in an unfinished run of another config or other songs, or in one of an earlier version.
        version: Publish under this version.
        work_dir: Folder of the runs.
        releases: Folder of the releases.
        runner: Where songs are ingested, checked, cached and scored: this machine or a Dask cluster.
        scheduler: Address of the cluster.
        workers: Songs at a time on this machine; None: as many as it has cores.

    Returns:
        The run folder.
    """
    config, name = config_of(params, max_steps, init_from), model_name(params)
    check_training(
        params,
        config,
        musdb_root=musdb_root,
        data_dir=data_dir,
        work_dir=work_dir,
        fresh=fresh,
        force=force,
        scheduler=scheduler,
    )
    musdb_root = musdb_of(musdb_root, instead=data_dir)
    check_store()
    train_csv = validation_csv = None
    test_csv = Path(config.test_csv) if config.test_csv else None
    on_runner = {"task_runner": task_runner(runner, scheduler, workers)}
    if musdb_root is not None:
        manifests = ingest.with_options(**on_runner)(musdb_root, manifests_of_musdb(musdb_root, name), params)
        train_csv, validation_csv, test_csv = manifests["train"], manifests["validation"], manifests["test"]
        data_dir = None  # the manifests' paths are relative to themselves
    test_songs = load_manifest(test_csv, config, data_dir=data_dir) if test_csv else []
    tested = test_csv if test_songs else None
    going_on = None if fresh or force else unfinished_run(work_dir, name, config)
    indexes = cache.with_options(**on_runner)(
        params,
        train_csv,
        validation_csv,
        data_dir,
        test_csv=tested,
        work_dir=work_dir,
        unfinished=going_on and going_on.path,
    )
    parts = parts_to_cache(config, train_csv=train_csv, validation_csv=validation_csv)
    data = TrainingSet(*(part.csv for part in parts), indexes["training"], indexes["validation"], data_dir, tested)
    songs = {part: read_index(index, config).fingerprint() for part, index in indexes.items()}
    inputs = RunInputs(songs, initial_weights(config))
    new = None if fresh else what_is_new(work_dir, name, config, inputs)
    run = choose_run(work_dir, name, config, inputs, fresh=fresh, force=force)
    if new and not run.path.exists():
        say([f"{run.path}: {new}"])
    if run.is_done(config):
        say([f"{run.path}: is finished; nothing to train"])
        where = renew_run(name, config, run, inputs, data)
    else:
        with progress_bar() as bar:
            report = TrainingProgress(bar, name, config.train_max_steps)
            where = train_model(name, config, run, inputs, data, report)
    its_songs = songs_fingerprint(map(song_fingerprint, test_songs)) if test_songs else None
    run.note_data(data.paths(), test_songs=its_songs)
    say([where])

    if tested is not None:
        for_scores = task_runner(runner, scheduler, workers or WORKERS)
        evaluate.with_options(task_runner=for_scores)(str(run.path), run.evaluation, csv=tested, data_dir=data_dir)
    published: list[str] = []
    try:
        if version is not None:
            published = publish([str(run.path)], version, releases=releases, work_dir=work_dir)
    finally:
        show_pipeline(run, published)
    return run.path


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
    if (scores := run_scores(run).summary) is not None:
        print_scores(scores)
    say([f"run: {folder}", f"separate with it: python -m flows.separate_batch SONGS -o OUT -p {folder}"])


if __name__ == "__main__":
    assert ARGUMENTS is not None
    run_command(lambda: _main(ARGUMENTS))
