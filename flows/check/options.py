"""The options of flows.check."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator

from flows.support.options import DataDir, Flag, Positional, SomeModel, WithOverrides


class Options(WithOverrides):
    """Check the songs of manifests before hours of work start: what cannot be used, why, and how to mend it.

    Without -p the CSV's own columns say which instruments it has.
    """

    csvs: Annotated[list[Path], Positional("CSV"), Field(min_length=1)]
    """Manifests: train.csv, validation.csv, …"""
    params: SomeModel = None
    data_dir: DataDir = None
    report: Path | None = None
    """The Parquet report (default: beside the CSV, NAME.check.parquet)."""
    workers: PositiveInt | None = None
    """Songs at a time (default: as many as cores)."""
    template: Flag = False
    """Write an example CSV to CSV instead, and stop."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if len(self.csvs) > 1 and (self.report is not None or self.template):
            raise ValueError(
                f"{'--template' if self.template else '--report'} is for one CSV, not for {len(self.csvs)}"
            )
        return self
