"""museval's scores of a model on MUSDB18's test songs or on the songs of a CSV."""

import argparse
from pathlib import Path

from flows.command import add_data_option, add_params_option, check_first, command_parser, run_command, set_up_process
from flows.download import locate_with_bar
from flows.inputs import check_ffmpeg, check_musdb_folder, songs_of
from sepcore.output_folder import check_writable


def _arguments() -> argparse.Namespace:
    parser = command_parser("evaluate", __doc__)
    add_params_option(parser)
    tested = parser.add_mutually_exclusive_group(required=True)
    tested.add_argument("--mus_dir", type=Path, metavar="DIR", help="MUSDB18 or MUSDB18-HQ; its test songs are scored")
    tested.add_argument("--csv", type=Path, metavar="FILE", help="a manifest; all of its songs are scored")
    parser.add_argument(
        "-o", "--output_path", dest="out", type=Path, required=True, metavar="DIR", help="scores go here"
    )
    parser.add_argument("--mwf", action="store_true", default=None, help="separate by multichannel Wiener filtering")
    add_data_option(parser)
    arguments = parser.parse_args()
    set_up_process(arguments.verbose)
    check_first(lambda: _check(arguments))
    return arguments


def _check(arguments: argparse.Namespace) -> None:
    check_ffmpeg()
    config = locate_with_bar(arguments.params).config
    if arguments.csv is not None:
        songs_of(arguments.csv, config, arguments.data)
    else:
        check_musdb_folder(arguments.mus_dir, "test")
    check_writable(arguments.out, "-o")


# Parsed before Prefect's imports, so that --help and a wrong argument are answered at once.
ARGUMENTS = _arguments() if __name__ == "__main__" else None

from prefect import flow, unmapped  # noqa: E402
from prefect.task_runners import ThreadPoolTaskRunner  # noqa: E402

from flows.progress import print_scores, results  # noqa: E402
from flows.terminal import say  # noqa: E402
from sepcore import Separator  # noqa: E402
from sepcore.atomic import write_text  # noqa: E402
from sepcore.config import ModelConfig  # noqa: E402
from sepcore.dataset.ingest.musdb import list_musdb_songs  # noqa: E402
from sepcore.dataset.ingest.targets import check_instruments  # noqa: E402
from sepcore.dataset.manifest import TrackRow  # noqa: E402
from sepcore.errors import DatasetError  # noqa: E402
from sepcore.evaluation.scores import ScoreSummary  # noqa: E402
from sepcore.evaluation.track_scores import read_track_scores, write_frames  # noqa: E402
from sepcore.training.run_folder import RunFolder  # noqa: E402
from tasks.dataset import ingest_song  # noqa: E402
from tasks.evaluation import evaluate_song, log_scores  # noqa: E402


@flow(name="evaluate", task_runner=ThreadPoolTaskRunner(max_workers=2))
def evaluate(
    params: str,
    out: Path,
    mus_dir: Path | None = None,
    csv: Path | None = None,
    data_dir: Path | None = None,
    mwf: bool | None = None,
) -> ScoreSummary:
    """Separate and score every test song; songs scored by the same model already are not scored again.

    Args:
        params: What ``-p`` takes. The scores of a finished run go into its folder and its MLflow run too.
        out: Folder of museval's JSON files (``test/<song>.json``), ``frames.parquet`` and ``scores.json``.
        mus_dir: MUSDB18, whose test songs are scored.
        csv: Or a manifest, whose songs are scored.
        data_dir: Folder of the manifest's relative paths.
        mwf: Wiener filtering; None: as the config says.
    """
    separator = Separator(params, mwf=mwf)
    rows = _test_songs(separator.config, out, mus_dir, csv, data_dir)
    files = results(evaluate_song.map(rows, unmapped(separator), unmapped(out)), "evaluate")
    frames = write_frames([read_track_scores(file) for file in files], out / "frames.parquet")
    summary = ScoreSummary.from_frames(frames, dataset=str(mus_dir or csv))
    write_text(out / "scores.json", summary.to_json())
    run = RunFolder(Path(params))
    finished = run.finished()
    if finished is not None:
        write_text(run.scores, summary.to_json())
        log_scores(run, finished["name"], summary, out)
    return summary


def _test_songs(
    config: ModelConfig, out: Path, mus_dir: Path | None, csv: Path | None, data_dir: Path | None
) -> list[TrackRow]:
    if csv is not None:
        return songs_of(csv, config, data_dir)
    assert mus_dir is not None
    songs = [song for song in list_musdb_songs(mus_dir) if song.own_split == "test"]
    if not songs:
        raise DatasetError(f"{mus_dir}: has no songs in its folder test; give --csv with the songs to score.")
    check_instruments(songs, config)
    return results(ingest_song.map(songs, unmapped(out), unmapped(config)), "read test songs")


def _main(arguments: argparse.Namespace) -> None:
    summary = evaluate(
        arguments.params,
        arguments.out,
        mus_dir=arguments.mus_dir,
        csv=arguments.csv,
        data_dir=arguments.data,
        mwf=arguments.mwf,
    )
    print_scores(summary)
    say([f"scores: {arguments.out}"])


if __name__ == "__main__":
    assert ARGUMENTS is not None
    run_command(lambda: _main(ARGUMENTS))
