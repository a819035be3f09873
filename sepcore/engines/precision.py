"""What an engine's network may compute in."""

from typing import Literal

Precision = Literal["float32", "bfloat16"]
