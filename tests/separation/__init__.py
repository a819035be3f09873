"""Tests of sepcore.separation."""
