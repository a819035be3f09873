"""Prefect tasks: thin wrappers around sepcore that add run names, retries and MLflow."""

from tasks.one_line_errors import install

# Here, since every process that runs a task imports this: those that Prefect starts, and a cluster's workers.
install()
