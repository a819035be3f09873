"""The options of flows.compare."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt

from flows.support.options import Flag, Positional, WorkDir
from flows.support.options import Options as Base


def _table(path: Path) -> Path:
    if path.suffix.lower() not in (".json", ".parquet"):
        raise ValueError(f"{path} ends neither in .json nor in .parquet, the formats of a comparison")
    return path


class Options(Base):
    """Two evaluations of the same tracks: whether B is worse than A, stem by stem, and on which tracks.

    Exit code 0 if B is not worse than A, 1 if it is worse in any stem, 2 for a mistake in the command. A stem is
    worse if the whole confidence interval of its median difference, track by track, lies below -MARGIN; with fewer
    tracks than an interval needs (6 at 0.95), or with --strict, if that difference itself does; and if B lacks a score
    of it that A has, unless with --allow-missing.
    """

    needs = ("evaluate",)

    a: Annotated[str, Positional("A")]
    """The reference: a run (its folder, its name or its MLflow run id) or a folder of scores."""
    b: Annotated[str, Positional("B")]
    """The evaluation to judge: a run or a folder of scores, too."""
    metric: str = "SDR"
    """SDR, ISR, SIR, SAR, or another that both have."""
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """An accepted loss in dB."""
    strict: Flag = False
    """Let the median difference decide, interval or not."""
    allow_missing: Flag = False
    """Do not count it against B that it has no score of a stem, track or frame that A has one of."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Confidence level of the intervals, between 0 and 1."""
    resamples: PositiveInt = 10_000
    """Number of resamples of the bootstrap."""
    seed: NonNegativeInt = 0
    """Random seed of the bootstrap."""
    out: Annotated[Path | None, AfterValidator(lambda path: path and _table(path))] = None
    """Write the results to a .json file, or the differences of all tracks to a .parquet file."""
    work_dir: WorkDir = Path("runs")
