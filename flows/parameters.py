"""Types of flows' parameters: what Prefect refuses before a run begins, and shows as bounds in its form."""

from typing import Annotated

from pydantic import AfterValidator, Field

from sepcore.provider.version import parse_version
from sepcore.separator_settings import MAX_OVERLAP, MAX_SHIFTS


def _is_version(text: str) -> str:
    if parse_version(text) is None:
        raise ValueError("no semantic version such as 1.2.0 or 1.2.0-rc.1")
    return text


# The pattern, which Prefect's server knows, lets a little more through than the run then does.
Version = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+([-+].+)?$", examples=["1.0.0"]), AfterValidator(_is_version)]
Share = Annotated[float, Field(ge=0, lt=1)]
Decibels = Annotated[float, Field(ge=0, lt=100)]
Overlap = Annotated[float, Field(ge=0, le=MAX_OVERLAP)]
Shifts = Annotated[int, Field(ge=1, le=MAX_SHIFTS)]
