"""What is trained again, found and checked before any work: the training's record, its songs, its first weights."""

from collections.abc import Mapping
from pathlib import Path

from flows.support.runs import resolve_run
from sepcore.config.load import is_archive
from sepcore.errors import ConfigError
from sepcore.release.training_record import INIT_FROM, TrainingRecord

CSVS = ("train_csv", "validation_csv", "test_csv")


def training_record(source: str, work_dir: Path) -> TrainingRecord:
    """What a release's tarball, or a run, says of its training."""
    path = Path(source)
    if path.is_file() and is_archive(path):
        return TrainingRecord.of_release(path)
    run = resolve_run(source, work_dir).path
    # Of a folder from elsewhere, paths are as little this machine's own as a release's.
    own = any(run.resolve().is_relative_to(folder.resolve()) for folder in (work_dir, Path("runs")))
    return TrainingRecord.of_run(run, foreign=not own)


def manifests_of(record: TrainingRecord, given: Mapping[str, Path | None]) -> dict[str, str]:
    """The absolute paths of the manifests: those that are given, else those that the run names."""
    known = {key: str(path.absolute()) for key, path in given.items() if path is not None}
    csvs = {key: record.data[key] for key in CSVS if key in record.data} | known
    for key in CSVS:
        if key not in csvs and key != "test_csv":
            raise ConfigError(
                f"the record of {record.name} does not say where its songs are",
                hint=f"Give --musdb-root, or --{_flag(key)}.",
            )
        if key in csvs and not Path(csvs[key]).is_file():
            raise ConfigError("no such file", path=csvs[key], hint=f"Give the manifest with --{_flag(key)}.")
    return csvs


def initial_model(record: TrainingRecord, given: str | None) -> str | None:
    """The model to start from: the one that is given, else the run's. A release's is on another machine."""
    name = record.facts.get(INIT_FROM)
    if given is None and record.config.init_from is None and name is not None:
        raise ConfigError(
            f"{record.name} was started from the weights of {name}", hint="Give that model with --init-from."
        )
    return given or record.config.init_from


def _flag(key: str) -> str:
    return key.replace("_", "-")
