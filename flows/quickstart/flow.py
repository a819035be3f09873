"""The quickstart: every stage once, on made-up songs."""

from pathlib import Path

from flows.ingest.flow import ingest
from flows.quickstart.options import FOLDER, Options
from flows.separate_batch.flow import separate_batch
from flows.support.flow_options import flow_of
from flows.support.terminal import print_scores, say
from flows.train.flow import train
from sepcore.config.load import load_config
from sepcore.dataset.synthetic.dataset import write_dataset
from sepcore.evaluation.scores import ScoreSummary
from sepcore.system.urls import shown
from sepcore.training.run_folder import RunFolder
from tasks.tracking import tracking_uri

_CONFIG = "quickstart"
_VERSION = "0.1.0"
_RELEASES, _STEMS = FOLDER / "releases", FOLDER / "separated"
_RELEASE = _RELEASES / _VERSION / f"{_CONFIG}.tar.gz"


@flow_of(Options, name="quickstart", flow_run_name="quickstart")
def quickstart(options: Options) -> Path:
    """Run every stage of the job; stages that are done already are skipped. Returns the run's folder."""
    write_dataset(FOLDER / "dataset", num_train=8, num_validation=2, num_test=2, duration_s=20.0, seed=7)
    ingest(load_config(_CONFIG), _CONFIG, FOLDER / "manifests", FOLDER / "dataset")
    run = train(_CONFIG, max_steps=options.max_steps, version=_VERSION, work_dir=FOLDER / "runs", releases=_RELEASES)
    songs = sorted((FOLDER / "dataset" / "test").glob("*/mixture.wav"))
    separate_batch(paths=songs, out=_STEMS, params=str(_RELEASE), filename_format="{foldername}/{instrument}.{codec}")
    return run


def main(options: Options) -> None:
    """Run the quickstart, and print where its products are."""
    run = quickstart(**options.parameters())
    print_scores(ScoreSummary.from_json(RunFolder(run).scores.read_text("utf-8")))
    say(
        [
            f"run:      {run}",
            f"release:  {_RELEASE}",
            f"stems:    {_STEMS}",
            f"tracking: {shown(tracking_uri())}",
            f"browse the run:        {_ui_command()}",
            f"separate your songs:   python -m flows.separate_batch SONGS -o OUT -p {_RELEASE}",
            "train on MUSDB18:      python -m flows.train -p musdb --musdb-root MUSDB18",
        ]
    )


def _ui_command() -> str:
    """What opens MLflow's page; a checkout's Makefile also keeps strangers out of it."""
    uri = shown(tracking_uri())
    if "sqlite:" not in uri:
        return uri
    return "make ui" if Path("Makefile").is_file() else f"mlflow ui --backend-store-uri {uri}"
