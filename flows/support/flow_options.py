"""A flow whose parameters are the fields of an `Options` class."""

import hashlib
import inspect
from collections.abc import Callable, Container
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from prefect import Flow, flow

from flows.support.options import Options
from tasks.dead_runs import note_run

Result = TypeVar("Result")
Given = TypeVar("Given", bound=Options)


def flow_of(
    options: type[Given], *, without: Container[str] = (), **about: Any
) -> Callable[[Callable[[Given], Result]], "Flow[..., Result]"]:
    """Make a flow of a function of options: each field is a parameter, with its limits, default and description.

    Args:
        options: What the flow can be told. Fields that must be given come first.
        without: Fields that are no parameters, such as those of `OnRunner` where a task runner is given.
        about: What Prefect's ``flow`` takes.

    Returns:
        A decorator. The flow is called with the fields, and refuses with a ConfigError what does not go together.
    """
    known = [(name, field) for name, field in options.model_fields.items() if name not in without]
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
        descriptions = [f"    {name}: {' '.join((field.description or '').split())}" for name, field in fields]
        run.__doc__ = "\n".join([inspect.cleandoc(body.__doc__ or ""), "", "Args:", *descriptions])
        del run.__wrapped__
        # Of the file that the body stands in; Prefect would take this one's.
        source = Path(inspect.getsourcefile(body) or __file__).read_bytes()
        version = hashlib.sha256(source).hexdigest()[:32]
        return flow(on_running=[note_run], version=version, **about)(run)

    return decorate
