"""The options of flows.reproduce, and what is found and checked before any work: the record, its songs, its weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import model_validator

from flows.support.extras import PIPELINE
from flows.support.inputs import check_ffmpeg, check_musdb_folder, check_trainable, resolve_run
from flows.support.options import DataDir, Positional, WorkDir
from flows.support.options import Options as Base
from sepcore.config.load import is_archive
from sepcore.errors import ConfigError

if TYPE_CHECKING:
    from sepcore.release.training_record import TrainingRecord

_CSVS = "train_csv", "validation_csv", "test_csv"


class Options(Base):
    """Train a released model, or that of a run, again from its recorded config, and put both scores side by side.

    The songs must be the original ones; others are refused before the training. A run records where they are. For a
    release, or a run outside --work-dir and runs, give --musdb-root, or --train-csv and --validation-csv.
    """

    needs = PIPELINE

    source: Annotated[str, Positional("RELEASE|RUN")]
    """A release's tarball, or a run: its folder, name or MLflow run id."""
    musdb_root: Path | None = None
    """MUSDB18 or a set in its layout."""
    train_csv: Path | None = None
    """Manifest of the songs for training (default: the run's)."""
    validation_csv: Path | None = None
    """Manifest of the songs for validation (default: the run's)."""
    test_csv: Path | None = None
    """Manifest of the songs for scoring (default: the run's)."""
    init_from: str | None = None
    """The model that it was started from, if it was (default: the run's)."""
    data_dir: DataDir = None
    work_dir: WorkDir = Path("runs")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.musdb_root is not None and (self.data_dir is not None or any(self.csvs().values())):
            raise ValueError("--musdb-root brings its own manifests. Leave the CSVs and -d out.")
        return self

    def csvs(self) -> dict[str, Path | None]:
        """The manifests that were given, by their keys in a config."""
        return {key: getattr(self, key) for key in _CSVS}

    def check(self) -> None:
        """Refuse a source without a record, and songs or weights that do not exist."""
        check_ffmpeg()
        record = training_record(self.source, self.work_dir)
        check_trainable(record.config)
        initial_model(record, self.init_from)
        if self.musdb_root is not None:
            check_musdb_folder(self.musdb_root, "train")
        else:
            manifests_of(record, self.csvs())


def training_record(source: str, work_dir: Path) -> "TrainingRecord":
    """The record of a training in a release's tarball or in a run."""
    from sepcore.release.training_record import TrainingRecord  # imports pandas, which takes a second

    path = Path(source)
    if path.is_file() and is_archive(path):
        return TrainingRecord.of_release(path)
    if is_archive(path):
        raise ConfigError("no such file", path=path, hint="Give a release's tarball, or a run.")
    run = resolve_run(source, work_dir).path
    # The paths in a folder from elsewhere may be another machine's, as in a release.
    own = any(run.resolve().is_relative_to(folder.resolve()) for folder in (work_dir, Path("runs")))
    return TrainingRecord.of_run(run, foreign=not own)


def manifests_of(record: "TrainingRecord", given: Mapping[str, Path | None]) -> dict[str, str]:
    """The absolute paths of the manifests: the given ones, else the run's; ConfigError where there is none."""
    known = {key: str(path.absolute()) for key, path in given.items() if path is not None}
    csvs = {key: record.data[key] for key in _CSVS if key in record.data} | known
    for key in _CSVS:
        flag = f"--{key.replace('_', '-')}"
        if key not in csvs and key != "test_csv":
            problem = f"the record of {record.name} does not say where its songs are"
            raise ConfigError(problem, hint=f"Give --musdb-root, or {flag}.")
        if key in csvs and not Path(csvs[key]).is_file():
            raise ConfigError("no such file", path=csvs[key], hint=f"Give the manifest with {flag}.")
    return csvs


def initial_model(record: "TrainingRecord", given: str | None) -> str | None:
    """The model to start from: the given one, else the run's. A release's is on another machine."""
    from sepcore.release.training_record import INIT_FROM

    name = record.facts.get(INIT_FROM)
    if given is None and record.config.init_from is None and name is not None:
        problem = f"{record.name} was started from the weights of {name}"
        raise ConfigError(problem, hint="Give that model with --init-from.")
    return given or record.config.init_from
