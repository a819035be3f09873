"""What is served, and what prefect.yaml says of it."""

import yaml

from flows.serve.deployments import deployments
from tests.repository import ROOT

SERVED = deployments()


def test_the_work_pools_deployments_are_those_that_are_served():
    listed = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    assert [one["name"] for one in listed] == [one.name for one in SERVED]
    for one, served in zip(listed, SERVED, strict=True):
        assert one["entrypoint"] == served.entrypoint
        assert one["tags"] == served.tags
        assert one.get("parameters", {}) == served.parameters
        assert one.get("concurrency_limit", {}).get("limit") == served.concurrency_limit
