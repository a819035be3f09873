"""stemworks' library: audio in; stems, models and scores out. Importing it loads no TensorFlow."""

from typing import TYPE_CHECKING, Any

from sepcore.config.load import load_config

if TYPE_CHECKING:
    from sepcore.separation.separator import Separator

__all__ = ["Separator", "load_config"]


def __getattr__(name: str) -> Any:
    if name == "Separator":
        from sepcore.separation.separator import Separator

        return Separator
    raise AttributeError(f"module 'sepcore' has no attribute {name!r}")
