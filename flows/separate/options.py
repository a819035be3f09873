"""What a separation can be told that needs no more than its songs."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.separate_batch import options
from flows.separate_batch.options import SomePath


class Options(options.Options):
    """Separate folders and files of audio or video into stems.

    What is done already is left as it is: run the same command again after whatever. Songs are worked on one at a
    time unless --workers says otherwise, since a song keeps all cores busy.
    """

    out: Annotated[SomePath, Parameter(name=("-o", "--output_path"))] = Path("separated")
    """Stems go here."""
