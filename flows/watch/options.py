"""The options of watching a folder."""

from typing import Annotated

from pydantic import Field

from flows.separate_batch.options import BatchOptions, SeparationOptions, SomePath
from flows.support.options import Positional
from flows.support.runners import model_anywhere
from sepcore.errors import ConfigError

# A file that is being copied or downloaded grows more often than that.
SETTLED_S = 5.0


class Options(SeparationOptions):
    """Watch a folder and separate what is new in it, round after round until Ctrl-C.

    Files that were changed in the last 5 seconds are left for the next round; a song that failed is tried again when it
    changes, or when the command starts again. With a Prefect API it serves the deployment
    separate-batch/watch-<name of FOLDER>-<eight digits>, whose runs are the rounds.
    """

    folder: Annotated[SomePath, Positional("FOLDER")]
    """Songs come into this folder, at any depth."""
    every: Annotated[float, Field(ge=1, le=86_400)] = 10.0
    """Seconds between rounds."""

    def check(self) -> None:
        """Refuse a path that is no folder."""
        if not self.folder.is_dir():
            raise ConfigError("no such folder", path=self.folder, hint="Make it, or check the name.")

    def of_a_round(self) -> BatchOptions:
        """The options of a round's run, which may start in another working directory."""
        same = {name: getattr(self, name) for name in SeparationOptions.model_fields}
        places = {"paths": [self.folder.absolute()], "out": self.out.absolute(), "params": model_anywhere(self.params)}
        return BatchOptions(**same | places)
