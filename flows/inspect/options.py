"""The options of flows.inspect."""

from pathlib import Path
from typing import Annotated, Literal, Self

from cyclopts import Parameter
from pydantic import AfterValidator, model_validator

from flows.support.options import DataDir, OfConfig


def _png(path: Path) -> Path:
    if path.suffix.lower() != ".png":
        raise ValueError(f"{path} does not end in .png, the format of the picture")
    return path


class Options(OfConfig):
    """A picture of one cached chunk: its spectrograms beside those that the recordings give now."""

    needs = ("train",)

    data_dir: DataDir = None
    part: Literal["training", "validation"] = "training"
    """The cache of the training songs or of the validation songs."""
    song: str | None = None
    """The song, as the index names it (default: the first)."""
    chunk: int | None = None
    """With --song: which of its chunks, from 0."""
    row: int | None = None
    """Instead of --song: a row of the index, from 0."""
    output: Annotated[Path, AfterValidator(_png), Parameter(name=("-o", "--output"))]
    """The picture: a file whose name ends in .png."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.row is not None and self.song is not None:
            raise ValueError("--row and --song each name a chunk. Give one of them.")
        if self.chunk is not None and self.song is None:
            raise ValueError("--chunk is one of a song's. Add --song.")
        return self
