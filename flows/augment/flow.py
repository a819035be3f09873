"""The augmentation flow: make the variants of all training songs and list them beside the recorded ones."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from prefect import flow

from flows.augment.options import Options
from flows.support.flow_options import run_name
from flows.support.measuring import measured_songs
from flows.support.runners import task_runner
from flows.support.song_tasks import finished_tasks
from flows.support.terminal import say
from sepcore.config.load import model_name
from sepcore.config.model_config import ModelConfig
from sepcore.dataset.augment.findings import findings, length_lines, method_line
from sepcore.dataset.augment.manifest import (
    claim_manifest,
    lock_output,
    remove_unfinished,
    training_manifest,
    write_manifest,
)
from sepcore.dataset.augment.selection import choose_songs, held_out_mixtures, missing_lines
from sepcore.dataset.augment.songs import SongVariant, is_songs_own
from sepcore.dataset.augment.stretch import choose_method
from sepcore.dataset.augment.variants import Method, Variant, variants_of
from sepcore.dataset.check.check import check_manifest
from sepcore.dataset.check.report import CheckedSong, place_of_report
from sepcore.dataset.ingest.manifests import left_out_file
from sepcore.dataset.ingest.targets import LeftOut
from sepcore.dataset.manifest import TrackRow
from sepcore.errors import AudioDecodeError, AudioEncodeError, DatasetError
from sepcore.system.printable import printable
from tasks.dataset import augment_song
from tasks.dead_runs import note_run

_SHOWN_LEFT_OUT = 10


@flow(name="augment", flow_run_name=run_name("augment", name=""), task_runner=task_runner(), on_running=[note_run])
def augment(
    config: ModelConfig,
    name: str,
    out: Path,
    pitch: tuple[float, ...] = (),
    tempo: tuple[float, ...] = (),
    method: Literal["auto"] | Method = "auto",
    train_csv: Path | None = None,
    data_dir: Path | None = None,
) -> Path:
    """Make variants of the training songs in pitch and tempo, and a manifest of the recorded songs and all variants.

    Songs that training cannot use, or that are validation or test songs, are left out, printed and listed in
    ``left_out.csv``; if none is left, that is an error.

    Args:
        config: Its instruments, rate and channels are what the variants get.
        name: Name of the config.
        out: Folder of the manifest and of the variants' audio.
        pitch: In semitones.
        tempo: As factors of the speed.
        method: ``auto``: Rubber Band where ffmpeg has it, resampling otherwise.
        train_csv: Instead of the config's.
        data_dir: Folder of the manifests' relative paths.

    Returns:
        The new manifest.
    """
    variants = variants_of(pitch, tempo)
    source = training_manifest(config, train_csv, out)
    chosen = choose_method(method, variants)
    with lock_output(out):
        claim_manifest(out)
        remove_unfinished(out)
        say([method_line(chosen, method)])
        checked, left_out = _choose_songs(source, config, data_dir, out)
        # Absolute: the workers of a cluster have another working directory.
        songs = [song.row.absolute() for song in checked]
        return _augment(songs, left_out, out, config, variants, chosen)


def _choose_songs(
    source: Path, config: ModelConfig, data_dir: Path | None, out: Path
) -> tuple[list[CheckedSong], list[LeftOut]]:
    """Check the songs, as before a training, and leave out what cannot be used or belongs to another split."""
    measure = partial(measured_songs, mix_name=config.mix_name)
    held_out = measure(held_out_mixtures(config, data_dir), description="songs held out")
    report = check_manifest(
        source,
        config,
        data_dir=data_dir,
        report=place_of_report(source, out),
        measure_all=partial(measure, description=f"check {source.name}"),
    )
    songs, left_out = choose_songs(report, held_out)
    say(missing_lines(config))
    say(length_lines(songs))
    return songs, left_out


def _augment(
    songs: Sequence[TrackRow],
    left_out: list[LeftOut],
    out: Path,
    config: ModelConfig,
    variants: Sequence[Variant],
    method: Method,
) -> Path:
    """Make the variants of the songs, and the manifest."""
    rows: list[TrackRow] = []
    made: list[SongVariant] = []
    for song, future in finished_tasks(
        augment_song, songs, out.absolute(), config, variants, method, description="augment", total=len(songs)
    ):
        try:
            of_song = future.result()
        except (AudioDecodeError, AudioEncodeError, DatasetError) as error:
            if isinstance(error, AudioEncodeError) and not is_songs_own(error):
                raise
            left_out.append(LeftOut(song.name, printable(error.reason), error.hint))
        else:
            rows += [song, *(variant.row for variant in of_song)]
            made += of_song
    manifest = write_manifest(out, rows, left_out, config)
    say(findings(made))
    say(f"left out: {song.song}: {song.reason}" for song in left_out[:_SHOWN_LEFT_OUT])
    if left_out:
        say([f"songs left out: {len(left_out)}; {left_out_file(out)} lists them and says what to do"])
    say(
        [
            f"{manifest}: {len(rows) - len(made)} recorded songs and {len(made)} variants. Set train_csv to it in the "
            f"config, or give --set train_csv={manifest}, and cache as before."
        ]
    )
    return manifest


def main(options: Options) -> int:
    """Vary the training songs; 1 if some were left out."""
    augment.with_options(task_runner=options.task_runner())(
        options.config(),
        model_name(options.params),
        options.out,
        options.pitch,
        options.tempo,
        options.method,
        options.train_csv,
        options.data_dir,
    )
    return 1 if left_out_file(options.out).is_file() else 0
