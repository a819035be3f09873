"""A disk that runs full under an evaluation, a release, MLflow's store or a model's download."""

import hashlib
import json
import random
from dataclasses import replace

import mlflow
import pytest

from sepcore.provider.archive import pack_archive
from sepcore.training.metrics_log import read_records
from sepcore.training.run_folder import RunFolder
from tests.faults.conftest import CONFIG
from tests.faults.test_disk_full import assert_failed_in_one_line, room
from tests.faults.workplace import LONG, Job, ended, resume, said, suspend, thoroughly, wait_until
from tests.models import small_config
from tests.provider.conftest import ReleaseServer, Response, names
from tests.release.conftest import DONE, summary

pytestmark = pytest.mark.slow

EVALUATE = Job(("flows.evaluate", "--csv", "validation.csv", "--baselines", "mixture", "-o", "scores"), ("scores",))
PUBLISH = Job(("flows.publish", "runs/mine", "--version", "1.0.0", "--releases", "releases"), ("releases",))
TRAIN = Job(("flows.train", "-p", "train.json"), ("runs",))
FORCED = Job(("flows.publish", "--version", "1.0.0", "--force"), ("releases",))
WEIGHTS = random.Random(0).randbytes(8_000_000)
ASK = """
import sys
from flows.support.command import guarded
from sepcore.provider.resolve import locate_model
sys.exit(guarded(lambda: print(locate_model("2stems").folder)))
"""
RELEASE = "/deezer/spleeter/releases/download/v1.4.0"


@pytest.fixture(scope="session")
def evaluated(make_workplace, tmp_path_factory):
    """A workplace with an evaluation that nothing disturbs."""
    workplace = make_workplace(tmp_path_factory.mktemp("evaluated") / "work")
    workplace.finish(EVALUATE)
    return workplace


@pytest.mark.parametrize("moment", thoroughly("scoring", "reporting"))
def test_on_a_full_disk_an_evaluation_ends_in_one_line_and_with_more_room_as_if_nothing_had_been(
    moment, workplace, evaluated, small_disk, remount
):
    scores, whole = workplace.folder / "scores", evaluated.folder / "scores"
    small_disk(scores, "200m")
    if moment == "scoring":  # no room for what is decoded of a song
        remount(scores, "size=1m")
    else:
        workplace.finish(EVALUATE)
        for name in ("report.html", "boxplot.png", "boxplot.svg"):
            (scores / name).unlink()
        taken = sum(room(path) for path in scores.rglob("*") if path.is_file())
        remount(scores, f"size={taken + room(whole / 'report.html') // 2}")
    result = workplace.run(EVALUATE)
    assert_failed_in_one_line(result, "scores", "No space left on device")
    assert workplace.leftovers() == []
    assert not (scores / "report.html").exists()

    remount(scores, "size=200m")
    workplace.finish(EVALUATE)
    assert workplace.leftovers() == []
    assert workplace.contents(EVALUATE) == evaluated.contents(EVALUATE)


def test_on_a_full_disk_a_release_ends_in_one_line_and_with_more_room_as_if_nothing_had_been(
    workplace, small_disk, remount
):
    run = workplace.folder / "runs" / "mine"
    (run / "model").mkdir(parents=True)
    (run / "model" / "model.index").write_bytes(b"index")
    (run / "model" / "model.data-00000-of-00001").write_bytes(WEIGHTS)
    (run / "config.json").write_text(small_config().to_json())
    (run / "done.json").write_text(json.dumps(DONE))
    (run / "scores.json").write_text(summary(vocals=(5.0, -3.0), accompaniment=(8.0, 3.0)).to_json())
    releases = workplace.folder / "releases"
    small_disk(releases, len(WEIGHTS) // 2)
    assert_failed_in_one_line(workplace.run(PUBLISH), "releases", "No space left on device")
    assert workplace.leftovers() == []
    assert workplace.files(PUBLISH) == {}

    remount(releases, f"size={4 * len(WEIGHTS)}")
    workplace.finish(PUBLISH)
    assert {path.name for path in workplace.files(PUBLISH).values()} == {"mine.tar.gz", "checksum.json"}


@LONG
@pytest.mark.parametrize("moment", ["training", "ending"])
def test_where_mlflows_disk_is_full_a_training_ends_well_and_warns_and_the_next_command_sends_the_rest(
    moment, workplace, small_disk, remount
):
    keys = {"train_max_steps": 12, "save_checkpoints_steps": 6, "save_summary_steps": 1}
    (workplace.folder / "train.json").write_text(json.dumps(CONFIG | keys))
    store = workplace.folder / "store"
    uri = f"sqlite:///{store / 'mlflow.db'}"
    workplace = replace(workplace, environment=workplace.environment | {"MLFLOW_TRACKING_URI": uri})
    # Room for the database, not for the model beside it.
    small_disk(store, "1500k")
    process = workplace.start(TRAIN)
    if moment == "training":
        wait_until(lambda: list(workplace.folder.glob("runs/*/metrics.jsonl")), process)
        suspend(process)
        remount(store, f"size={sum(room(path) for path in store.rglob('*') if path.is_file())}")
        resume(process)
    result = ended(process)
    assert result.returncode == 0, result.stderr
    refused, unsent = said(result.stderr)
    assert uri in refused
    assert "No space left on device" in refused
    assert uri in unsent
    (run,) = (RunFolder(path) for path in workplace.folder.glob("runs/*"))
    assert run.finished().steps == 12
    measured = {record.step for record in read_records(run.metrics) if record.kind == "train"}
    assert measured == set(range(1, 13))

    remount(store, "size=200m")
    result = workplace.run(FORCED, str(run.path))
    assert result.returncode == 0, result.stderr
    history = mlflow.MlflowClient(uri).get_metric_history(run.finished().mlflow_run_id, "train_loss")
    assert [metric.step for metric in history] == list(range(1, 13))


@pytest.mark.parametrize("share", thoroughly(1.5, 0.5), ids=lambda share: f"room for {share} tarballs")
def test_on_a_full_disk_a_models_download_ends_in_one_line_and_with_more_room_as_if_nothing_had_been(
    share, workplace, tmp_path, small_disk, remount
):
    tarball = tmp_path / "2stems.tar.gz"
    pack_archive({"model.index": b"index", "model.data-00000-of-00001": WEIGHTS}, tarball)
    content, models = tarball.read_bytes(), tmp_path / "models"
    checksums = json.dumps({"2stems": hashlib.sha256(content).hexdigest()}).encode()
    server = ReleaseServer()
    server.answers = {
        f"{RELEASE}/checksum.json": Response(checksums),
        f"{RELEASE}/2stems.tar.gz": Response(content, ranges=True),
    }
    there = {"GITHUB_HOST": server.url, "MODEL_PATH": str(models)}
    workplace = replace(workplace, environment=workplace.environment | there)
    small_disk(models, round(share * len(content)))
    try:
        assert_failed_in_one_line(workplace.run_python(ASK), "models/2stems", "No space left on device")
        assert names(models) == []
        remount(models, f"size={4 * len(content)}")
        result = workplace.run_python(ASK)
        assert result.returncode == 0, result.stderr
    finally:
        server.close()
    assert names(models) == ["2stems"]
    assert (models / "2stems" / "model.data-00000-of-00001").read_bytes() == WEIGHTS
