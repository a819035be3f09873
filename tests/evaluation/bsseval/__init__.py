"""Tests of the fast BSSEval."""
