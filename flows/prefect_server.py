"""Prefect's temporary server, which a command starts where no API is configured."""

import subprocess
from functools import partial
from types import SimpleNamespace


def keep_from_ctrl_c() -> None:
    """Start the temporary server in a process group of its own.

    In the command's group it would end by the same Ctrl-C, and the command would spend a minute calling a server that
    is gone, instead of ending in one line. It still ends with the command.
    """
    from prefect.server.api import server

    alone = {"Popen": partial(subprocess.Popen, process_group=0)}
    server.subprocess = SimpleNamespace(**{**vars(subprocess), **alone})
