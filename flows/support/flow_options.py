"""A flow whose parameters are the fields of an `Options` class."""

import hashlib
import inspect
import os
from collections.abc import Callable, Container
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from prefect import Flow, flow
from prefect.runtime import flow_run

from flows.support.inputs import MUSDB_OF_ENVIRONMENT
from flows.support.options import Options, one_line
from sepcore.config.load import model_name
from sepcore.system.printable import printable
from sepcore.system.urls import shown
from tasks.dead_runs import note_run

Result = TypeVar("Result")
Given = TypeVar("Given", bound=Options)


def flow_of(
    options: type[Given], *, without: Container[str] = (), **about: Any
) -> Callable[[Callable[[Given], Result]], "Flow[..., Result]"]:
    """Make a flow of a function of options: each field is a parameter, with its limits, default and description.

    The flow refuses fields that do not go together with a ConfigError.

    Args:
        options: Become the parameters, required ones first.
        without: Fields that are no parameters, such as those of `OnRunner` where a task runner is given.
        about: Further arguments of Prefect's ``flow``.
    """
    known = ((name, field) for name, field in options.model_fields.items() if name not in without)
    fields = sorted(known, key=lambda item: not item[1].is_required())
    signature = inspect.Signature(
        [
            inspect.Parameter(
                name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=inspect.Parameter.empty if field.is_required() else field.default,
                annotation=field.rebuild_annotation(),
            )
            for name, field in fields
        ]
    )

    def decorate(body: Callable[[Given], Result]) -> "Flow[..., Result]":
        @wraps(body)
        def run(*given: Any, **named: Any) -> Result:
            return body(options.of(signature.bind(*given, **named).arguments))

        run.__signature__ = signature  # type: ignore[attr-defined]
        run.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
        descriptions = [f"    {name}: {one_line(field.description)}" for name, field in fields]
        run.__doc__ = "\n".join([inspect.cleandoc(body.__doc__ or ""), "", "Args:", *descriptions])
        del run.__wrapped__
        # Of the file that the body stands in; Prefect would take this one's.
        source = Path(inspect.getsourcefile(body) or __file__).read_bytes()
        return flow(on_running=[note_run], version=hashlib.sha256(source).hexdigest()[:32], **about)(run)

    return decorate


def run_name(stage: str, **parts: str) -> Callable[[], str]:
    """A flow's ``flow_run_name``.

    Args:
        stage: The name's first word, e.g. ``train``.
        parts: A word before each parameter's value, by the parameter's name; a parameter without a value is left out.
    """

    def name() -> str:
        given = flow_run.parameters
        values = {key: _short(given[key]) for key in parts if given.get(key)}
        return printable(
            " ".join([stage, *(f"{parts[key]} {value}".strip() for key, value in values.items() if value)])
        )

    return name


def _short(value: Any) -> str:
    if isinstance(value, list | tuple):
        more = f" and {len(value) - 1} more" if len(value) > 1 else ""
        return _short(value[0]) + more
    text = str(value)
    if text == str(MUSDB_OF_ENVIRONMENT):
        # The only variable that is looked up: any other may hold a secret.
        text = os.environ.get(text.removeprefix("$"), "")
    text = shown(text)
    if Path(text).name != text or text.endswith((".json", ".gz")):
        return model_name(text) or text
    return text
