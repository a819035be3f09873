"""The options of flows.serve."""

import os
from typing import Annotated

from pydantic import Field

from flows.support.extras import PIPELINE
from flows.support.options import Options as Base


class Options(Base):
    """Serve the deployments that `prefect deployment run` and Prefect's page start, until Ctrl-C.

    Uses the Prefect API of PREFECT_API_URL or of the active profile; without one, that of a server on this machine,
    which is started if none answers, and ends with this command.
    """

    needs = PIPELINE

    port: Annotated[int, Field(ge=1, le=65_535)] = 4200
    """Port of a server on this machine."""

    def set_environment(self, verbose: bool) -> None:
        """Show the log of runs on Prefect's page, and only warnings here."""
        os.environ.setdefault("PREFECT_LOGGING_LEVEL", "INFO")
        if not verbose:
            os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "WARNING")
