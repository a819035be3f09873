"""Types of flows' parameters: what Prefect refuses before a run begins, and shows as bounds in its form."""

from typing import Annotated

from pydantic import Field

from sepcore.separator_settings import MAX_OVERLAP, MAX_SHIFTS

Version = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$", examples=["1.0.0"])]
Share = Annotated[float, Field(gt=0, lt=1)]
Decibels = Annotated[float, Field(ge=0, lt=100)]
Overlap = Annotated[float, Field(ge=0, le=MAX_OVERLAP)]
Shifts = Annotated[int, Field(ge=1, le=MAX_SHIFTS)]
