"""The reproducing flow: the original songs and config, and the training on them again."""

from pathlib import Path

from flows.cache.flow import cache
from flows.ingest.flow import ingest
from flows.reproduce.options import Options, initial_model, manifests_of, training_record
from flows.support.flow_options import flow_of, run_name
from flows.support.inputs import manifests_of_musdb
from flows.support.terminal import print_pairs, say
from flows.train.flow import initial_weights, train
from sepcore.config.load import load_config
from sepcore.dataset.cache.index import read_index
from sepcore.dataset.draws import DRAWS_VERSION
from sepcore.errors import TrainingError
from sepcore.release.training_record import TrainingRecord, config_to_train_again
from sepcore.system.atomic import write_text
from sepcore.training.run_record import RunInputs
from tasks.tracking.run_facts import code_facts


@flow_of(Options, name="reproduce", flow_run_name=run_name("reproduce", source=""))
def reproduce(options: Options) -> Path:
    """Repeat the training of a release or a run; interrupted, it resumes. Returns the new run's folder.

    The new run, and everything else that is written for a release, goes to the folder ``reproduced`` of the runs, never
    to where its config says.
    """
    record = training_record(options.source, options.work_dir)
    folder = options.work_dir / "reproduced"
    params, made_here = folder / f"{record.name}.json", folder / "data" / record.name
    start = initial_model(record, options.init_from)
    caches = made_here if record.foreign else None
    musdb_root, data_dir = options.musdb_root, options.data_dir
    if musdb_root is not None:
        write_text(params, config_to_train_again(record.config, {}, init_from=start, caches=caches).to_json())
        manifests = made_here / "manifests" if caches else manifests_of_musdb(musdb_root, record.name)
        made = ingest(load_config(params), record.name, manifests, musdb_root)
        csvs = {f"{part}_csv": str(csv.absolute()) for part, csv in made.items()}
    else:
        csvs = manifests_of(record, options.csvs())
        if data_dir is None and options.train_csv is None and "data_dir" in record.data:
            data_dir = Path(record.data["data_dir"])
    config = config_to_train_again(record.config, csvs, init_from=start, caches=caches)
    write_text(params, config.to_json())
    indexes = cache(config, record.name, data_dir=data_dir)
    songs = {part: read_index(index, config).fingerprint() for part, index in indexes.items()}
    if songs["training"] != record.dataset:
        number, manifest = record.facts.get("songs", "?"), record.facts.get("manifest", "its manifest")
        raise TrainingError(
            f"was trained on other songs ({number} of {manifest}, fingerprint {record.dataset}, not "
            f"{songs['training']})",
            path=options.source,
            hint="Give the original songs, in the same order.",
        )
    if record.inputs is not None:
        now = RunInputs(songs, initial_weights(config), record.inputs.draws)
        if differences := record.inputs.differences(now):
            raise TrainingError(
                f"was trained with {' and '.join(differences)}", path=options.source, hint="Give the original ones."
            )
    return train(str(params), data_dir=data_dir, work_dir=folder)


def _say_code(record: TrainingRecord) -> None:
    now = code_facts()
    differing = [key for key in ("version", "commit") if key in record.facts and record.facts[key] != now.get(key)]
    if differing:
        then, here = (
            ", ".join(f"{key} {facts.get(key, 'unknown')}" for key in differing) for facts in (record.facts, now)
        )
        say([f"code: it was trained by {then}; this is {here}. Other code may train otherwise."])
    if record.inputs is not None and record.inputs.draws != DRAWS_VERSION:
        say([f"code: it drew other examples (version {record.inputs.draws} of the draws, here {DRAWS_VERSION})"])


def _print_scores(record: TrainingRecord, again: TrainingRecord) -> None:
    then, now = record.scores, again.scores
    if then is None or now is None:
        lacking = "the recorded model" if then is None else "the new one (give --test-csv)"
        say([f"scores: none of {lacking}, so that nothing can be compared"])
        return
    if then.made_from and now.made_from and then.made_from.songs != now.made_from.songs:
        say([f"scores: not compared, the test songs differ (then {then.dataset}, now {now.dataset})"])
        return
    title = f"SDR in dB (median of medians): then on {then.dataset}, now on {now.dataset}"
    pairs = {stem: (scores.sdr, now.stems[stem].sdr) for stem, scores in then.stems.items()}
    print_pairs(title, ("stem", "then", "now", "difference"), pairs)


def main(options: Options) -> None:
    """Train again, and say how the results compare."""
    record = training_record(options.source, options.work_dir)
    _say_code(record)
    run = reproduce(**options.parameters())
    again = TrainingRecord.of_run(run)
    _print_scores(record, again)
    if again.weights() == record.weights():
        weights = "identical to the recorded ones, bit for bit"
    else:
        why = "" if record.config.deterministic else " (the config is not deterministic)"
        weights = f"not bit for bit the recorded ones{why}"
    say([f"weights: {weights}", f"run: {run}"])
