"""The options of reproducing."""

from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import model_validator

from flows.support.inputs import check_ffmpeg, check_musdb_folder, check_trainable
from flows.support.options import DataDir, Positional, WorkDir
from flows.support.options import Options as Base

_CSVS = "train_csv", "validation_csv", "test_csv"


class Options(Base):
    """Train a released model, or that of a run, again from its recorded config, and put both scores side by side.

    The songs must be the original ones; others are refused before the training. A run records where they are. For a
    release, or a run outside --work-dir and runs, give --musdb-root, or --train-csv and --validation-csv.
    """

    uses_prefect: ClassVar[bool] = True

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
            raise ValueError("--musdb-root brings its own manifests; leave the CSVs and -d out")
        return self

    def csvs(self) -> dict[str, Path | None]:
        """The manifests that were given, by their keys in a config."""
        return {key: getattr(self, key) for key in _CSVS}

    def check(self) -> None:
        """Refuse what has no record, and songs or weights that are not there."""
        from flows.reproduce.record import initial_model, manifests_of, training_record

        check_ffmpeg()
        record = training_record(self.source, self.work_dir)
        check_trainable(record.config)
        initial_model(record, self.init_from)
        if self.musdb_root is not None:
            check_musdb_folder(self.musdb_root, "train")
        else:
            manifests_of(record, self.csvs())
