"""The training flow: its stages one after the other; each resumes from its own files."""

from pathlib import Path

from rich.progress import Progress, TextColumn

from flows.cache.flow import cache
from flows.evaluate.flow import evaluate
from flows.evaluate.options import WORKERS
from flows.ingest.flow import ingest
from flows.publish.flow import publish
from flows.support.download import locate_with_bar
from flows.support.flow_options import flow_of, run_name
from flows.support.inputs import manifests_of_musdb, musdb_of, parts_to_cache
from flows.support.terminal import print_scores, progress_bar, say
from flows.train.options import Options
from sepcore.config.load import model_name
from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.index import read_index
from sepcore.dataset.cache.waveform_findings import songs_that_do_not_add_up
from sepcore.dataset.manifest import load_manifest
from sepcore.errors import GateRefused
from sepcore.evaluation.file_fingerprint import song_fingerprint, songs_fingerprint
from sepcore.evaluation.run_scores import run_scores
from sepcore.training.checkpoints import kept_steps
from sepcore.training.initial_weights import initial_fingerprint
from sepcore.training.metrics_log import MetricsRecord
from sepcore.training.run_choice import choose_run, unfinished_run, what_is_new
from sepcore.training.run_folder import RunFolder
from sepcore.training.run_record import RunInputs
from tasks.artifacts import show_pipeline
from tasks.tracking.store import check_store
from tasks.training import TrainingSet, renew_run, train_model


@flow_of(Options, name="train", flow_run_name=run_name("train", params="", musdb_root="on", version="for"))
def train(options: Options) -> Path:
    """Train the model of a config; returns the run's folder."""
    options.check()
    config, name = options.config(), model_name(options.params)
    data_dir, work_dir, runner = options.data_dir, options.work_dir, options.task_runner()
    musdb_root = musdb_of(options.musdb_root, instead=data_dir)
    check_store()
    train_csv = validation_csv = None
    test_csv = Path(config.test_csv) if config.test_csv else None
    if musdb_root is not None:
        made = ingest.with_options(task_runner=runner)(config, name, manifests_of_musdb(musdb_root, name), musdb_root)
        train_csv, validation_csv, test_csv = made["train"], made["validation"], made["test"]
        data_dir = None  # the manifests' paths are relative to themselves
    test_songs = load_manifest(test_csv, config, data_dir=data_dir) if test_csv else []
    tested = test_csv if test_songs else None
    unfinished = None if options.fresh or options.force else unfinished_run(work_dir, name, config)
    indexes = cache.with_options(task_runner=runner)(
        config,
        name,
        train_csv,
        validation_csv,
        data_dir,
        test_csv=tested,
        work_dir=work_dir,
        unfinished=unfinished.path if unfinished else None,
    )
    training, validation = parts_to_cache(config, train_csv=train_csv, validation_csv=validation_csv)
    data = TrainingSet(training.csv, validation.csv, indexes["training"], indexes["validation"], data_dir, tested)
    cached = {part: read_index(index, config) for part, index in indexes.items()}
    say(songs_that_do_not_add_up(cached["training"], config))
    inputs = RunInputs({part: index.fingerprint() for part, index in cached.items()}, initial_weights(config))
    new = None if options.fresh else what_is_new(work_dir, name, config, inputs)
    run = choose_run(work_dir, name, config, inputs, fresh=options.fresh, force=options.force)
    if new and not run.path.exists():
        say([f"{run.path}: {new}"])
    if not run.is_done(config):
        if steps := kept_steps(run.checkpoints):
            say([f"{run.path}: resumes from step {steps[-1]}"])
        with progress_bar(TextColumn("{task.fields[note]}", markup=False)) as bar:
            report = TrainingProgress(bar, name, config.train_max_steps)
            where = train_model(name, config, run, inputs, data, report)
    else:
        say([f"{run.path}: is finished; nothing to train"])
        where = renew_run(name, config, run, inputs, data)
    its_songs = songs_fingerprint(map(song_fingerprint, test_songs)) if test_songs else None
    run.note_data(data.paths(), test_songs=its_songs)
    say([where])

    if tested is not None:
        evaluate.with_options(task_runner=options.task_runner(WORKERS))(
            out=run.evaluation, params=str(run.path), csv=tested, data_dir=data_dir
        )
    published: list[str] = []
    try:
        if options.version is not None:
            published = publish([str(run.path)], options.version, releases=options.releases, work_dir=work_dir)
    finally:
        show_pipeline(run, published)
    return run.path


def initial_weights(config: ModelConfig) -> str | None:
    """Fingerprint of the weights that the config's `init_from` names, which are fetched if need be; None without."""
    return None if config.init_from is None else initial_fingerprint(locate_with_bar(config.init_from))


class TrainingProgress:
    """A bar over the steps that shows the last losses."""

    def __init__(self, bar: Progress, name: str, max_steps: int) -> None:
        self._bar = bar
        self._line = bar.add_task(f"train {name}", total=max_steps, note="")
        self._notes: dict[str, str] = {}

    def __call__(self, record: MetricsRecord) -> None:
        """Show what the trainer reports."""
        for key in ("train_loss", "validation_loss", "validation_SDR"):
            if key in record.metrics:
                self._notes[key] = f"{key} {record.metrics[key]:.4g}"
        self._bar.update(self._line, completed=record.step, note="  ".join(self._notes.values()))


def main(options: Options) -> None:
    """Train, and print the scores and where the run is."""
    try:
        folder = train(**options.parameters())
    except GateRefused:
        say(["the training itself is kept"])
        raise
    if (scores := run_scores(RunFolder(folder)).summary) is not None:
        print_scores(scores)
    say([f"run: {folder}", f"separate with it: python -m flows.separate_batch SONGS -o OUT -p {folder}"])
