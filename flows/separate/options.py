"""The options of flows.separate, which needs no more than songs."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.separate_batch import options
from flows.separate_batch.options import SomePath


class Options(options.Options):
    """Separate folders and files of audio or video into stems.

    Songs that are done are left as they are, so the same command resumes after any interruption. Songs are separated
    one at a time unless --workers says otherwise, since one song keeps all cores busy.
    """

    out: Annotated[SomePath, Parameter(name=("-o", "--output_path"))] = Path("separated")
    """Folder of the stems."""
