"""The options of flows.quickstart."""

import os
from pathlib import Path

from pydantic import PositiveInt

from flows.support.extras import PIPELINE
from flows.support.inputs import check_ffmpeg
from flows.support.options import Options as Base

FOLDER = Path("data/quickstart")


class Options(Base):
    """The whole job once on a small made-up dataset: dataset, ingest, cache, train, evaluate, publish, separate."""

    needs = PIPELINE

    max_steps: PositiveInt | None = None
    """Train for this many steps (default: the config's)."""

    def set_environment(self, verbose: bool) -> None:
        """Keep all that the quickstart makes in one folder, including the models that it unpacks."""
        os.environ["MODEL_PATH"] = str(FOLDER / "models")

    def check(self) -> None:
        """Refuse to start without ffmpeg."""
        check_ffmpeg()
