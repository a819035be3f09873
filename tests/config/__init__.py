"""Tests of sepcore.config.model_config."""
