"""What a run shows on its Prefect page: tables, texts and links. None of it ever fails the run."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.runtime import flow_run

_logger = logging.getLogger(__name__)


def show_table(key: str, rows: Sequence[Mapping[str, Any]], description: str) -> None:
    """A table, whose columns are the rows' keys."""
    # Prefect's page draws strings and numbers; NaN is no JSON.
    shown = [{name: "–" if value != value else value for name, value in row.items()} for row in rows]
    _show(create_table_artifact, key, table=shown, description=description)


def show_markdown(key: str, markdown: str, description: str) -> None:
    """A text in Markdown."""
    _show(create_markdown_artifact, key, markdown=markdown, description=description)


def show_link(key: str, address: str, text: str, description: str) -> None:
    """A link."""
    _show(create_link_artifact, key, link=address, link_text=text, description=description)


def artifact_key(words: str) -> str:
    """A key as Prefect takes it: lower case, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-") or "artifact"


def _show(create: Callable[..., Any], key: str, **content: Any) -> None:
    if flow_run.id is None:
        return
    try:
        # Typed as if it might have to be awaited.
        create(key=artifact_key(key), _sync=True, **content)
    except Exception as error:  # whatever Prefect's client raises while its API is away
        _logger.warning("Prefect's API failed (%s): its page lacks %s", error, artifact_key(key))
