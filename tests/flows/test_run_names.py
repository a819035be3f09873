"""Names of flow runs, which Prefect keeps and shows."""

from types import SimpleNamespace

import pytest

from flows.augment.flow import augment
from flows.cache.flow import cache
from flows.evaluate.flow import evaluate
from flows.ingest.flow import ingest
from flows.prepare_musdb.flow import prepare_musdb
from flows.publish.flow import publish
from flows.reproduce.flow import reproduce
from flows.separate_batch.flow import separate_batch
from flows.support import flow_options
from flows.train.flow import train

FLOWS = [augment, cache, evaluate, ingest, prepare_musdb, publish, reproduce, separate_batch, train]


@pytest.fixture
def name_of(monkeypatch):
    """``name_of(flow, value)``: the name of a run all of whose parameters have a value."""

    def name(flow, value):
        parameters = dict.fromkeys(flow.parameters.properties, value)
        monkeypatch.setattr(flow_options, "flow_run", SimpleNamespace(parameters=parameters))
        return flow.flow_run_name()

    return name


@pytest.mark.parametrize("value", ["$CANARY", "${CANARY}", "songs/$CANARY", "$CANARY.json", ["$CANARY"], ("x$CANARY",)])
@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_no_value_of_the_environment_is_in_a_runs_name(flow, value, name_of, monkeypatch):
    monkeypatch.setenv("CANARY", "0123-secret-4567")
    assert "secret" not in name_of(flow, value)


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_no_password_of_an_address_is_in_a_runs_name(flow, name_of):
    assert "secret" not in name_of(flow, "https://me:secret-123@host")
    assert "secret" not in name_of(flow, "s3://host/x?token=secret-123")


def test_the_set_that_musdb_path_names_is_in_a_trainings_name(name_of, monkeypatch):
    monkeypatch.setenv("MUSDB_PATH", "/data/musdb18hq")
    assert "musdb18hq" in name_of(prepare_musdb, "$MUSDB_PATH")
    monkeypatch.delenv("MUSDB_PATH")
    assert "MUSDB_PATH" not in name_of(prepare_musdb, "$MUSDB_PATH")
