"""Names of flow runs as Prefect's page lists them: what is done, with which model, on what."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect.runtime import flow_run

from sepcore.config.load import model_name
from sepcore.system.printable import printable
from sepcore.system.urls import shown

# As `flows.train.inputs` has it, whose import takes longer than a flow's.
MUSDB_OF_ENVIRONMENT = "$MUSDB_PATH"


def run_name(stage: str, **parts: str) -> Callable[[], str]:
    """A flow's ``flow_run_name``.

    Args:
        stage: What is done.
        parts: A word before each parameter's value, by the parameter's name; a parameter without a value is left out.
    """

    def name() -> str:
        given = flow_run.parameters
        shown = {key: _short(given[key]) for key in parts if given.get(key)}
        words = [f"{parts[key]} {value}".strip() for key, value in shown.items() if value]
        return printable(" ".join([stage, *words]))

    return name


def _short(value: Any) -> str:
    if isinstance(value, list | tuple):
        more = f" and {len(value) - 1} more" if len(value) > 1 else ""
        return _short(value[0]) + more
    text = str(value)
    if text == MUSDB_OF_ENVIRONMENT:
        # The one variable that flows look up, too: any other may hold what nobody shall read in a name.
        text = os.environ.get(text.removeprefix("$"), "")
    text = shown(text)
    if Path(text).name != text or text.endswith((".json", ".gz")):
        return model_name(text) or text
    return text
