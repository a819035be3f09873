"""Train a released model, or that of a run, again from its recorded config, and put both scores side by side."""

import argparse
from pathlib import Path

from flows.runs import resolve_run
from flows.support.command import add_run_options, check_first, command_parser, run_command, set_up_process
from flows.support.inputs import check_ffmpeg, check_musdb_folder, check_trainable
from flows.support.prefect_server import start_prefect
from sepcore.config_file import is_archive
from sepcore.errors import ConfigError
from sepcore.release.paths import config_to_train_again
from sepcore.release.training_record import INIT_FROM, TrainingRecord

_CSVS = ("train_csv", "validation_csv", "test_csv")


def _arguments() -> argparse.Namespace:
    parser = command_parser(
        "reproduce",
        f"{__doc__} The songs must be those of then: others are refused before the training. A run knows where they "
        "are; for a release, or a run that lies not below --work-dir or runs, say it with "
        "--musdb-root, or with --train-csv and --validation-csv.",
    )
    parser.add_argument(
        "source", metavar="RELEASE|RUN", help="a release's tarball, or a run: its folder, name or MLflow run id"
    )
    parser.add_argument("--musdb-root", type=Path, metavar="DIR", help="MUSDB18 or a set in its layout")
    for name, what in (("train", "training"), ("validation", "validation"), ("test", "scoring")):
        parser.add_argument(f"--{name}-csv", type=Path, metavar="CSV", help=f"manifest of the songs for {what}")
    parser.add_argument(
        "--init-from", metavar="MODEL", help="the model that it was started from, if it was (default: the run's)"
    )
    parser.add_argument("-d", "--data", type=Path, metavar="DIR", help="folder of the CSVs' relative paths")
    add_run_options(parser)
    arguments = parser.parse_args()
    if arguments.musdb_root is not None and any(getattr(arguments, key) for key in (*_CSVS, "data")):
        parser.error("--musdb-root brings its own manifests; leave the CSVs and -d out")
    set_up_process(arguments.verbose)
    check_first(lambda: _check(arguments))
    start_prefect()
    return arguments


def _check(arguments: argparse.Namespace) -> None:
    check_ffmpeg()
    record = training_record(arguments.source, arguments.work_dir)
    check_trainable(record.config)
    _initial_model(record, arguments.init_from)
    if arguments.musdb_root is not None:
        check_musdb_folder(arguments.musdb_root, "train")
    else:
        _manifests(record, {key: getattr(arguments, key) for key in _CSVS})


def training_record(source: str, work_dir: Path) -> TrainingRecord:
    """What a release's tarball, or a run, says of its training."""
    path = Path(source)
    if path.is_file() and is_archive(path):
        return TrainingRecord.of_release(path)
    run = resolve_run(source, work_dir).path
    # Of a folder from elsewhere, paths are as little this machine's own as a release's.
    own = any(run.resolve().is_relative_to(folder.resolve()) for folder in (work_dir, Path("runs")))
    return TrainingRecord.of_run(run, foreign=not own)


def _manifests(record: TrainingRecord, given: dict[str, Path | None]) -> dict[str, str]:
    """The absolute paths of the manifests: those that are given, else those that the run names."""
    known = {key: str(path.absolute()) for key, path in given.items() if path is not None}
    csvs = {key: record.data[key] for key in _CSVS if key in record.data} | known
    for key in _CSVS:
        if key not in csvs and key != "test_csv":
            raise ConfigError(f"{record.name}: nothing says where its songs are; give --musdb-root, or --{_flag(key)}.")
        if key in csvs and not Path(csvs[key]).is_file():
            raise ConfigError(f"{csvs[key]}: no such file; give the manifest with --{_flag(key)}.")
    return csvs


def _initial_model(record: TrainingRecord, given: str | None) -> str | None:
    """The model to start from: the one that is given, else the run's. A release's is on another machine."""
    name = record.facts.get(INIT_FROM)
    if given is None and record.config.init_from is None and name is not None:
        raise ConfigError(f"{record.name}: was started from the weights of {name}; give that model with --init-from.")
    return given or record.config.init_from


def _flag(key: str) -> str:
    return key.replace("_", "-")


# Parsed before Prefect's imports, so that --help and a wrong argument are answered at once.
ARGUMENTS = _arguments() if __name__ == "__main__" else None

from prefect import flow  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from flows.cache import cache  # noqa: E402
from flows.ingest import ingest  # noqa: E402
from flows.support.run_names import run_name  # noqa: E402
from flows.support.terminal import say  # noqa: E402
from flows.train import train  # noqa: E402
from flows.training_inputs import initial_weights, manifests_of_musdb  # noqa: E402
from sepcore.atomic import write_text  # noqa: E402
from sepcore.dataset.cache.index import read_index  # noqa: E402
from sepcore.dataset.random_numbers import DRAWS_VERSION  # noqa: E402
from sepcore.errors import TrainingError  # noqa: E402
from sepcore.training.run_inputs import RunInputs  # noqa: E402
from tasks.dead_runs import note_run  # noqa: E402
from tasks.run_facts import code_facts  # noqa: E402


@flow(name="reproduce", flow_run_name=run_name("reproduce", source=""), on_running=[note_run])
def reproduce(
    source: str,
    musdb_root: Path | None = None,
    train_csv: Path | None = None,
    validation_csv: Path | None = None,
    test_csv: Path | None = None,
    data_dir: Path | None = None,
    init_from: str | None = None,
    work_dir: Path = Path("runs"),
) -> Path:
    """Train again what a release or a run was trained on, as it was; stopped, it goes on where it was.

    Args:
        source: A release's tarball, or a run.
        musdb_root: A MUSDB set to take the songs from.
        train_csv: Manifest of the training songs; by default the run's.
        validation_csv: Manifest of the validation songs; by default the run's.
        test_csv: Manifest of the songs for scoring; by default the run's, if it has one.
        data_dir: Folder of the manifests' relative paths; by default the run's.
        init_from: The model that it was started from, if it was; by default the run's.
        work_dir: Folder of the runs. The new one lies in its folder ``reproduced``, and so does all else that a
            release makes necessary: nothing is written where its config says.

    Returns:
        The new run's folder.
    """
    record = training_record(source, work_dir)
    folder = work_dir / "reproduced"
    params, made_here = folder / f"{record.name}.json", folder / "data" / record.name
    start = _initial_model(record, init_from)
    caches = made_here if record.foreign else None
    if musdb_root is not None:
        write_text(params, config_to_train_again(record.config, {}, init_from=start, caches=caches).to_json())
        manifests = made_here / "manifests" if caches else manifests_of_musdb(musdb_root, record.name)
        made = ingest(musdb_root, manifests, str(params))
        csvs = {f"{part}_csv": str(csv.absolute()) for part, csv in made.items()}
    else:
        csvs = _manifests(record, {"train_csv": train_csv, "validation_csv": validation_csv, "test_csv": test_csv})
        if data_dir is None and train_csv is None and "data_dir" in record.data:
            data_dir = Path(record.data["data_dir"])
    config = config_to_train_again(record.config, csvs, init_from=start, caches=caches)
    write_text(params, config.to_json())
    indexes = cache(str(params), data_dir=data_dir)
    dataset = read_index(indexes["training"], config).fingerprint()
    if dataset != record.dataset:
        songs, manifest = record.facts.get("songs", "?"), record.facts.get("manifest", "its manifest")
        raise TrainingError(
            f"{source}: was trained on other songs ({songs} of {manifest}, fingerprint {record.dataset}; these have "
            f"{dataset}); give the songs of then, in the same order."
        )
    if record.inputs is not None:
        songs_now = {part: read_index(index, config).fingerprint() for part, index in indexes.items()}
        now = RunInputs(songs_now, initial_weights(config), record.inputs.draws)
        if differences := record.inputs.differences(now):
            raise TrainingError(f"{source}: was trained with {' and '.join(differences)}; give those of then.")
    return train(str(params), data_dir=data_dir, work_dir=folder)


def _say_code(record: TrainingRecord) -> None:
    now = code_facts()
    differing = [key for key in ("version", "commit") if key in record.facts and record.facts[key] != now.get(key)]
    if differing:
        then, here = (
            ", ".join(f"{key} {facts.get(key, 'unknown')}" for key in differing) for facts in (record.facts, now)
        )
        say([f"code: it was trained by {then}; this is {here}. Other code may train otherwise."])
    if record.inputs is not None and record.inputs.draws != DRAWS_VERSION:
        say([f"code: it drew other examples (version {record.inputs.draws} of the draws, here {DRAWS_VERSION})"])


def _print_scores(record: TrainingRecord, again: TrainingRecord) -> None:
    then, now = record.scores, again.scores
    if then is None or now is None:
        lacking = "the recorded model" if then is None else "the new one (give --test-csv)"
        say([f"scores: none of {lacking}, so that nothing can be compared"])
        return
    if then.made_from and now.made_from and then.made_from.songs != now.made_from.songs:
        say([f"scores: not compared, the test songs differ (then {then.dataset}, now {now.dataset})"])
        return
    table = Table(title=f"SDR in dB (median of medians): then on {then.dataset}, now on {now.dataset}")
    for column in ("stem", "then", "now", "difference"):
        table.add_column(column, justify="left" if column == "stem" else "right")
    for stem in then.stems:
        before, after = then.stems[stem].sdr, now.stems[stem].sdr
        table.add_row(stem, f"{before:.2f}", f"{after:.2f}", f"{after - before:+.2f}")
    Console().print(table)


def _main(arguments: argparse.Namespace) -> None:
    record = training_record(arguments.source, arguments.work_dir)
    _say_code(record)
    run = reproduce(
        arguments.source,
        musdb_root=arguments.musdb_root,
        train_csv=arguments.train_csv,
        validation_csv=arguments.validation_csv,
        test_csv=arguments.test_csv,
        data_dir=arguments.data,
        init_from=arguments.init_from,
        work_dir=arguments.work_dir,
    )
    again = TrainingRecord.of_run(run)
    _print_scores(record, again)
    if again.weights() == record.weights():
        weights = "the same as then, bit for bit"
    else:
        weights = "not the bits of then" + ("" if record.config.deterministic else " (the config is not deterministic)")
    say([f"weights: {weights}", f"run: {run}"])


if __name__ == "__main__":
    assert ARGUMENTS is not None
    run_command(lambda: _main(ARGUMENTS))
