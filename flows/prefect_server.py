"""Prefect's temporary server, which a command starts where no API is configured."""

import os
import subprocess
from contextlib import AbstractContextManager, nullcontext
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


def without_heartbeats() -> AbstractContextManager[object]:
    """Flows that send no heartbeats, unless ``PREFECT_FLOWS_HEARTBEAT_FREQUENCY`` asks for them.

    Nobody listens to them at a temporary server, and a flow's end waits half a second on average for the thread that
    sends them: 5 of the 58 s of a quickstart, which has eight flows.
    """
    if "PREFECT_FLOWS_HEARTBEAT_FREQUENCY" in os.environ:
        return nullcontext()
    from prefect.context import SettingsContext, get_settings_context

    here = get_settings_context()
    flows = here.settings.flows.model_copy(update={"heartbeat_frequency": None})
    return SettingsContext(profile=here.profile, settings=here.settings.model_copy(update={"flows": flows}))
