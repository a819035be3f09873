"""Prefect tasks: thin wrappers around sepcore that add run names, retries and MLflow."""
