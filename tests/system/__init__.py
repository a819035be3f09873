"""Tests of sepcore.system."""
