"""How good a separation is: BSSEval scores and their tables."""

from sepcore.evaluation.bsseval import bss_eval

__all__ = ["bss_eval"]
