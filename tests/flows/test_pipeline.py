"""The whole job in Prefect flows on a tiny synthetic set, against a Prefect server and an MLflow store of its own."""

import csv
import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pytest
import soundfile
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import Artifact
from prefect.testing.utilities import prefect_test_harness

from flows.publish.flow import publish
from flows.reproduce.flow import reproduce
from flows.separate_batch.flow import separate_batch
from flows.train.flow import train
from sepcore import Separator, load_config
from sepcore.dataset.synthetic.dataset import write_dataset
from sepcore.errors import GateRefused, TrainingError
from sepcore.evaluation.scores import ScoreSummary
from sepcore.provider.resolve import locate_model
from sepcore.release.training_record import TrainingRecord
from sepcore.training.checkpoints import kept_steps
from sepcore.training.run_folder import RunFolder
from sepcore.training.run_record import TrainingResult
from tests.flows.test_commands import lacking
from tests.models import SMALL_UNET
from tests.raised import raises
from tests.release.github_server import GithubServer

pytestmark = [pytest.mark.slow, pytest.mark.in_order]

STEMS = ["vocals", "drums", "bass", "other"]
CONFIG = {
    "instrument_list": STEMS,
    "sample_rate": 8000,
    "frame_length": 512,
    "frame_step": 128,
    "T": 64,
    "F": 64,
    "n_chunks_per_song": 2,
    "chunk_duration": 2,
    "batch_size": 2,
    "save_summary_steps": 1,
    "train_max_steps": 3,
    "model_dir": "tiny",
    "deterministic": True,
    "model": SMALL_UNET,
}


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture(scope="module", autouse=True)
def store(tmp_path_factory) -> Iterator[mlflow.MlflowClient]:
    """One MLflow store for all: its tables take seconds."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('tracking') / 'store.db'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        yield mlflow.MlflowClient(uri)


@dataclass(frozen=True)
class Trained:
    """What the first training left behind."""

    folder: Path
    run: RunFolder
    store: mlflow.MlflowClient

    def train(self, **options):
        return train("tiny.json", musdb_root=Path("dataset"), **options)

    def mlflow_run(self):
        return self.store.get_run(self.run.finished().mlflow_run_id)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, store) -> Iterator[Trained]:
    """A working folder in which the tiny model has been trained and scored."""
    folder = tmp_path_factory.mktemp("pipeline")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MODEL_PATH", str(folder / "models"))
        (folder / "tiny.json").write_text(json.dumps(CONFIG))
        songs = {"num_train": 3, "num_validation": 1, "num_test": 1, "duration_s": 4, "seed": 1}
        write_dataset(Path("dataset"), **songs, sample_rate=22050)
        yield Trained(folder, RunFolder(train("tiny.json", musdb_root=Path("dataset"))), store)


def states(*folders):
    """Every file with its time of change: equal only if nothing was written again."""
    return {file: file.stat().st_mtime_ns for folder in folders for file in folder.rglob("*") if file.is_file()}


def test_a_training_ends_with_a_finished_run_and_a_model_in_model_dir(trained):
    assert trained.run.path.parent == Path("runs")
    assert trained.run.path.name.startswith("tiny-")
    finished = trained.run.finished()
    assert (finished.name, finished.steps) == ("tiny", 3)
    assert kept_steps(trained.run.checkpoints) == [3]
    model_dir = locate_model("tiny.json").folder
    assert model_dir == trained.folder / "models" / "tiny"
    for file in trained.run.model.glob("model.*"):
        assert (model_dir / file.name).read_bytes() == file.read_bytes()


def test_manifests_and_shards_hold_the_songs_of_their_split(trained):
    manifests = trained.folder / "data" / "dataset-tiny"
    songs = {}
    for split in ("train", "validation", "test"):
        with (manifests / f"{split}.csv").open(newline="") as file:
            songs[split] = [row["mix_path"] for row in csv.DictReader(file)]
    assert {split: len(paths) for split, paths in songs.items()} == {"train": 3, "validation": 1, "test": 1}
    assert len(list(Path("training_cache").glob("*.tfrecord"))) == 3
    assert len(list(Path("validation_cache").glob("*.tfrecord"))) == 1


def test_the_test_songs_are_scored_with_the_untouched_mixture_beside_the_model(trained):
    scores = ScoreSummary.from_json(trained.run.scores.read_text())
    assert (list(scores.stems), scores.num_tracks) == (STEMS, 1)
    assert all(np.isfinite([stem.sdr, stem.mixture_sdr]).all() for stem in scores.stems.values())
    assert len(list((trained.run.evaluation / "test").glob("*.json"))) == 1


def test_the_mlflow_run_holds_config_losses_scores_and_tags(trained):
    stored = trained.mlflow_run()
    assert stored.info.status == "FINISHED"
    assert stored.data.params["T"] == "64"
    assert stored.data.params["model.params.conv_n_filters"] == "[2, 3, 4, 5, 6, 7]"
    losses = trained.store.get_metric_history(stored.info.run_id, "train_loss")
    assert [metric.step for metric in losses] == [1, 2, 3]
    scores = ScoreSummary.from_json(trained.run.scores.read_text())
    for stem in STEMS:
        assert stored.data.metrics[f"test_SDR_{stem}"] == pytest.approx(scores.stems[stem].sdr)
        assert stored.data.metrics[f"test_mixture_SDR_{stem}"] == pytest.approx(scores.stems[stem].mixture_sdr)
        assert stored.data.metrics[f"test_SI_SDR_{stem}"] == pytest.approx(scores.stems[stem].si_sdr)
        assert f"validation_loss_{stem}" in stored.data.metrics
    assert {"validation_loss", "train_loss"} <= set(stored.data.metrics)
    assert stored.data.tags["test_set"] == scores.dataset
    assert [entry.dataset.name for entry in stored.inputs.dataset_inputs if entry.tags[0].value == "test"] == ["test"]
    assert stored.data.tags["run_folder"] == str(trained.folder / trained.run.path)
    assert stored.data.tags["dataset"] == trained.run.finished().dataset
    assert {"config.json", "model", "evaluation", "scores.json", "report.html", "boxplot.png"} <= {
        file.path for file in trained.store.list_artifacts(stored.info.run_id)
    }


def test_the_same_command_again_does_nothing_again(trained):
    folders = [Path("data"), Path("training_cache"), Path("validation_cache"), trained.run.path, Path("models")]
    # Written anew each time from what is there: the index, the manifests, the tables of scores and their report.
    rewritten = {"index.parquet", "train.csv", "validation.csv", "test.csv", "scores.json"}
    rewritten |= {"frames.parquet", "tracks.parquet", "report.html", "boxplot.png", "boxplot.svg"}
    before = {file: time for file, time in states(*folders).items() if file.name not in rewritten}
    assert trained.train() == trained.run.path
    assert {file: time for file, time in states(*folders).items() if file.name not in rewritten} == before
    assert len(trained.store.search_runs([trained.mlflow_run().info.experiment_id])) == 1


def artifacts() -> list[Artifact]:
    with get_client(sync_client=True) as client:
        return client.read_artifacts()


def publish_with_scores(trained, version, mixture_sdr, **options):
    """Publish the run as if the untouched mixture had scored so much."""
    scores = json.loads(trained.run.scores.read_text())
    for stem in scores["stems"].values():
        stem["mixture_SDR"] = mixture_sdr
    kept = trained.run.scores.read_text()
    trained.run.scores.write_text(json.dumps(scores))
    try:
        return publish([str(trained.run.path)], version, **options)
    finally:
        trained.run.scores.write_text(kept)


def test_a_model_that_does_not_beat_the_untouched_mixture_is_refused_and_the_run_kept(trained):
    before = states(trained.run.model, trained.run.checkpoints)
    with raises(GateRefused, "mixture", "vocals"):
        publish_with_scores(trained, "0.1.0", mixture_sdr=100.0)
    assert not (trained.folder / "releases" / "0.1.0").exists()
    assert states(trained.run.model, trained.run.checkpoints) == before
    assert trained.run.finished() is not None


def test_a_release_separates_and_the_mlflow_run_knows_of_it(trained):
    assert publish_with_scores(trained, "0.2.0", mixture_sdr=-100.0) == ["releases/0.2.0/tiny.tar.gz"]
    tarball = Path("releases/0.2.0/tiny.tar.gz")
    digest = hashlib.sha256(tarball.read_bytes()).hexdigest()
    assert json.loads(tarball.with_name("checksum.json").read_text()) == {"tiny": digest}
    assert trained.mlflow_run().data.tags["release"] == "0.2.0"
    champion = trained.store.get_model_version_by_alias("tiny", "champion")
    assert champion.run_id == trained.mlflow_run().info.run_id
    says = {"release": "0.2.0", "release_checksum": digest, "release_tarball": str(tarball.absolute())}
    assert says.items() <= champion.tags.items()
    (link,) = [found for found in artifacts() if found.key == "release-tiny"]
    assert f"[tiny 0.2.0]({tarball.absolute().as_uri()})" == link.data

    (mixture,) = Path("dataset/test").glob("*/mixture.wav")
    (outcome,) = separate_batch(paths=[mixture], out=Path("out"), params=str(tarball), codec="flac")
    assert (outcome.status, outcome.audio_s) == ("done", pytest.approx(4))
    stems = sorted(Path("out/mixture").iterdir())
    assert [path.name for path in stems] == sorted(f"{stem}.flac" for stem in STEMS)
    assert {soundfile.info(path).frames for path in stems} == {32_000}


def test_force_publishes_against_the_gate(trained):
    (tarball,) = publish_with_scores(trained, "0.3.0", mixture_sdr=100.0, force=True, releases=Path("elsewhere"))
    assert tarball == "elsewhere/0.3.0/tiny.tar.gz"
    assert Path(tarball).is_file()
    champion = trained.store.get_model_version_by_alias("tiny", "champion")
    assert champion.tags["release"] == "0.3.0"
    assert not lacking(champion.tags["release_forced"], ("mixture", *STEMS))


def test_a_model_worse_than_the_champion_of_the_registry_is_refused_though_the_folder_does_not_know_it(trained):
    kept = trained.run.scores.read_text()
    worse = json.loads(kept)
    for stem in worse["stems"].values():
        stem |= {"SDR": stem["SDR"] - 1, "mixture_SDR": -100.0}
    trained.run.scores.write_text(json.dumps(worse))
    try:
        with raises(GateRefused, "0.1", "0.3.0", "vocals"):
            publish([str(trained.run.path)], "0.4.0", releases=Path("another"))
        publish([str(trained.run.path)], "0.1.5", releases=Path("another"))  # which came before it
    finally:
        trained.run.scores.write_text(kept)
    assert trained.store.get_model_version_by_alias("tiny", "champion").tags["release"] == "0.3.0"


def test_two_models_go_to_github_in_one_release_and_come_from_there_by_name(trained, monkeypatch):
    with GithubServer("me/models") as github:
        for key, value in github.environment.items():
            monkeypatch.setenv(key, value)
        run, version = str(trained.run.path), "1.0.0"
        *tarballs, page = publish([run, run], version, models=["tiny", "again"], force=True, github=True)
        assert [Path(tarball).name for tarball in tarballs] == ["tiny.tar.gz", "again.tar.gz"]
        assert page == f"{github.url}/me/models/releases/tag/1.0.0"
        assert trained.store.get_model_version_by_alias("tiny", "champion").tags["release_tarball"] == page
        for tag in ("1.0.0", "latest"):
            monkeypatch.setenv("GITHUB_RELEASE", tag)
            monkeypatch.setenv("MODEL_PATH", str(trained.folder / f"from {tag}"))
            found = locate_model("again")
            assert found.config.model_dir == "again"
            for file in trained.run.model.glob("model.*"):
                assert (found.folder / file.name).read_bytes() == file.read_bytes()


def test_a_run_says_what_a_model_card_and_a_reproduction_need(trained):
    finished = trained.run.finished()
    assert {"songs": "3", "weights": "3", "manifest": "dataset-tiny/train.csv"}.items() <= finished.facts.items()
    assert {"hardware", "version"} <= finished.facts.keys()
    assert finished.data == {
        f"{part}_csv": str(trained.folder / "data" / "dataset-tiny" / f"{part}.csv")
        for part in ("train", "validation", "test")
    }


def test_a_run_is_reproduced_bit_for_bit_and_again_without_doing_anything(trained):
    model_dir = states(Path("models"))
    again = reproduce(str(trained.run.path))
    assert again == Path("runs/reproduced") / again.name
    then, now = TrainingRecord.of_run(trained.run.path), TrainingRecord.of_run(again)
    assert now.weights() == then.weights()
    assert now.scores == then.scores
    assert states(Path("models")) == model_dir
    before = states(again / "checkpoints", again / "model")
    assert reproduce(str(trained.run.path)) == again
    assert states(again / "checkpoints", again / "model") == before


def test_a_release_is_reproduced_from_a_set_in_musdbs_layout(trained):
    publish_with_scores(trained, "3.0.0", mixture_sdr=-100.0)
    again = reproduce("releases/3.0.0/tiny.tar.gz", musdb_root=Path("dataset"))
    assert TrainingRecord.of_run(again).weights() == TrainingRecord.of_run(trained.run.path).weights()


def test_other_songs_than_those_of_then_are_refused_before_the_training(trained):
    data = trained.run.finished().data
    header, *songs = Path(data["train_csv"]).read_text().splitlines()
    fewer = Path(data["train_csv"]).with_name("fewer.csv")
    fewer.write_text("\n".join([header, *songs[:-1]]) + "\n")
    before = states(Path("runs"))
    with raises(TrainingError, "3 of dataset-tiny/train.csv", trained.run.finished().dataset, path=trained.run.path):
        reproduce(str(trained.run.path), train_csv=fewer, work_dir=Path("other-runs"))
    assert states(Path("runs")) == before
    assert [path.name for path in Path("other-runs/reproduced").iterdir()] == ["tiny.json"]


def test_keys_that_decide_no_weights_reach_a_finished_run(trained):
    before, scores = states(trained.run.checkpoints, trained.run.model), trained.run.scores.read_text()
    changed = {"separation_exponent": 1, "model_dir": "moved", "train_max_steps": 2}
    Path("tiny.json").write_text(json.dumps(CONFIG | changed))
    try:
        assert trained.train() == trained.run.path
        config = load_config(trained.run.path)
        assert (config.separation_exponent, config.model_dir, config.train_max_steps) == (1, "moved", 3)
        assert states(trained.run.checkpoints, trained.run.model) == before
        assert locate_model("tiny.json").folder == trained.folder / "models" / "moved"
        assert trained.run.scores.read_text() != scores
        assert "separation_exponent = 1.0" in trained.mlflow_run().data.tags["config_changed"]
    finally:
        Path("tiny.json").write_text(json.dumps(CONFIG))
    trained.train()
    assert trained.run.scores.read_text() == scores


def test_other_validation_songs_start_a_new_run_and_a_line_says_so(trained, capsys):
    csvs = {f"{part}_csv": f"data/dataset-tiny/{csv}.csv" for part, csv in (("train", "train"), ("validation", "test"))}
    Path("changed").mkdir()
    Path("changed/tiny.json").write_text(json.dumps(CONFIG | csvs | {"model_dir": "changed"}))
    run = train("changed/tiny.json")
    assert run != trained.run.path
    assert f"{run}: a new run: {trained.run.path} was trained with other validation songs\n" in capsys.readouterr().out
    shutil.rmtree(run)  # what comes after works with the first


def test_going_on_to_more_steps_reopens_the_run_and_drops_the_scores_of_fewer(trained, monkeypatch):
    # Last of all: it changes the run.
    run_id = trained.mlflow_run().info.run_id
    seen = {}

    def fit(config, run, work):
        seen.update(max_steps=config.train_max_steps, finished=run.finished(), scored=run.scores.exists())
        return TrainingResult(config.train_max_steps, ended_early=False, model_step=config.train_max_steps)

    monkeypatch.setattr("sepcore.training.trainer.fit", fit)
    assert trained.train(max_steps=5) == trained.run.path
    assert seen == {"max_steps": 5, "finished": None, "scored": False}
    assert trained.run.finished().steps == 5
    assert trained.run.finished().mlflow_run_id == run_id
    assert trained.run.scores.exists()


@pytest.mark.parametrize("num_channels", [1, 2])
def test_spleeters_own_training_test(num_channels, tmp_path, monkeypatch):
    """White noise, small spectrograms, ten steps: a model in model_dir that -p separates with."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(num_channels)
    (tmp_path / "audio").mkdir()
    rows = []
    for song in range(2):
        files = {name: f"song{song}_{name}.wav" for name in ("mix", "vocals", "other")}
        for file in files.values():
            noise = rng.uniform(-0.5, 0.5, (6 * 44100, num_channels)).astype(np.float32)
            soundfile.write(tmp_path / "audio" / file, noise, 44100)
        rows.append({**{f"{name}_path": file for name, file in files.items()}, "duration": 6.0})
    with (tmp_path / "train.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["mix_path", "vocals_path", "other_path", "duration"])
        writer.writeheader()
        writer.writerows(rows)
    config = {
        "train_csv": "train.csv",
        "validation_csv": "train.csv",
        "model_dir": str(tmp_path / "model"),
        "mix_name": "mix",
        "instrument_list": ["vocals", "other"],
        "sample_rate": 44100,
        "frame_length": 4096,
        "frame_step": 1024,
        "T": 128,
        "F": 128,
        "n_channels": num_channels,
        "chunk_duration": 4,
        "n_chunks_per_song": 1,
        "batch_size": 2,
        "train_max_steps": 10,
        "model": SMALL_UNET,
    }
    (tmp_path / "noise.json").write_text(json.dumps(config))

    run = train("noise.json", data_dir=Path("audio"))

    assert RunFolder(run).finished().steps == 10
    separator = Separator("noise.json")
    assert separator.folder == tmp_path / "model"
    stems = separator.separate(rng.uniform(-0.5, 0.5, (44100, num_channels)).astype(np.float32))
    assert {name: stem.shape for name, stem in stems.items()} == {
        "vocals": (44100, num_channels),
        "other": (44100, num_channels),
    }
    assert all(np.isfinite(stem).all() and stem.any() for stem in stems.values())
