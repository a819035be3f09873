"""Whether a Prefect server is one of this project's own, found out without importing Prefect, which takes seconds."""

import os

OWN_PREFECT_API = "STEMWORKS_PREFECT_API"
"""The environment's variable with the address of the server that a command or `flows.serve` started."""


def is_own_prefect_api() -> bool:
    """Whether ``PREFECT_API_URL`` is that of a server that was started here.

    All of them work on the database that Prefect's settings name, whatever their port: of runs that one has lost with
    its process, the next one knows, too.
    """
    url = os.environ.get("PREFECT_API_URL")
    return bool(url) and url == os.environ.get(OWN_PREFECT_API)
