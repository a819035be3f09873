"""The preparing flow: ingest a MUSDB set and cache its spectrograms where flows.train looks for them."""

from pathlib import Path

from flows.cache.flow import cache
from flows.ingest.flow import ingest
from flows.prepare_musdb.options import Options
from flows.support.flow_options import flow_of, run_name
from flows.support.inputs import manifests_of_musdb
from flows.support.terminal import say
from sepcore.config.load import model_name


@flow_of(Options, name="prepare-musdb", flow_run_name=run_name("prepare", musdb_root="", params="for"))
def prepare_musdb(options: Options) -> dict[str, Path]:
    """Ingest a MUSDB set and cache its spectrograms; returns the indexes ``training`` and ``validation``."""
    musdb, config, name = options.musdb(), options.config(), model_name(options.params)
    runner = options.task_runner()
    made = ingest.with_options(task_runner=runner)(config, name, manifests_of_musdb(musdb, name), musdb)
    return cache.with_options(task_runner=runner)(config, name, made["train"], made["validation"])


def main(options: Options) -> None:
    """Prepare, and say where the indexes are."""
    say(f"{part}: {index}" for part, index in prepare_musdb(**options.parameters()).items())
