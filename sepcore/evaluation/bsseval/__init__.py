"""BSSEval v4, faster than museval and in bounded memory."""
