"""Serve the deployments that `prefect deployment run` and Prefect's page start, until Ctrl-C."""
