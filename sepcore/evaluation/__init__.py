"""How good a separation is: BSSEval scores and their tables."""

from typing import Any

__all__ = ["bss_eval"]


def __getattr__(name: str) -> Any:
    # SciPy takes a third of a second to import, and most that is in this room needs none of it.
    if name == "bss_eval":
        from sepcore.evaluation.bsseval.bss_eval import bss_eval

        return bss_eval
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
