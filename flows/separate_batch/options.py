"""What the separation of folders can be told: on the command line, and as a flow."""

import time
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field

from flows.separate_batch.separation import SeparationOptions, SomePath
from flows.support.options import Flag, Positional
from flows.support.runners import OnRunner, model_anywhere
from flows.support.sent_paths import sendable, sent_path

_STARTED_S = time.monotonic()


class BatchOptions(SeparationOptions):
    """Songs, and how they are separated."""

    paths: Annotated[list[SomePath], Positional("PATH"), Field(min_length=1)]
    """Files, and folders at any depth."""
    overwrite: Flag = False
    """Separate again what is done already."""

    def sent(self) -> dict[str, Any]:
        """The fields as Prefect can keep them: a path that is no UTF-8 as a ``file:`` URL."""
        paths = {"paths": [sendable(path) for path in self.paths], "out": sendable(self.out)}
        return self.model_dump(include=set(BatchOptions.model_fields)) | paths | {"params": sendable(Path(self.params))}

    def received(self) -> Self:
        """What was `sent`."""
        params = model_anywhere(str(sent_path(Path(self.params))))
        paths = [sent_path(path) for path in self.paths]
        return self.model_copy(update={"paths": paths, "out": sent_path(self.out), "params": params})


class FlowOptions(BatchOptions):
    """The same of a flow's run, which may be a round of a watched folder."""

    settled_s: float | None = None
    """Of a watched folder: leave songs that were changed in these last seconds for the next run, and those that failed
    before until they change."""


class Options(BatchOptions, OnRunner):
    """Separate folders and files of audio or video into stems.

    Songs that are done are left as they are, so the same command resumes whatever ended it. They are separated one at
    a time unless --workers says otherwise, since one song keeps all cores busy.
    """

    dry_run: Flag = False
    """Only say what would be separated, and how long that would take."""

    @property
    def started_s(self) -> float:
        """When the command started, on the clock of `time.monotonic`: before the imports that the user waits for."""
        return _STARTED_S
