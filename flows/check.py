"""Check the songs of manifests before hours of work start: what cannot be used, why, and how to mend it."""

import argparse
import json
from pathlib import Path

from flows.support.command import add_data_option, add_params_option, command_parser, run_command, set_up_process


def _arguments() -> argparse.Namespace:
    parser = command_parser("check", f"{__doc__} Without -p the CSV's own columns say which instruments it has.")
    parser.add_argument("csvs", nargs="+", type=Path, metavar="CSV", help="manifests: train.csv, validation.csv, …")
    add_params_option(parser, default="")
    add_data_option(parser)
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="the Parquet report (default: beside the CSV, NAME.check.parquet)"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="songs at a time (default: as many as cores)")
    parser.add_argument("--template", action="store_true", help="write an example CSV to CSV instead, and stop")
    arguments = parser.parse_args()
    if len(arguments.csvs) > 1 and (arguments.report or arguments.template):
        parser.error(
            f"{'--template' if arguments.template else '--report'} is for one CSV; {len(arguments.csvs)} given"
        )
    if arguments.workers is not None and arguments.workers < 1:
        parser.error(f"--workers is {arguments.workers}; give at least 1")
    set_up_process(arguments.verbose)
    return arguments


# Parsed before the imports below, so that --help and a wrong argument are answered at once.
ARGUMENTS = _arguments() if __name__ == "__main__" else None

from collections.abc import Iterator, Sequence  # noqa: E402

from flows.check_table import print_report  # noqa: E402
from flows.support.inputs import check_ffmpeg, check_trainable  # noqa: E402
from flows.support.terminal import progress_bar, say  # noqa: E402
from sepcore.atomic import write_text  # noqa: E402
from sepcore.config import ModelConfig  # noqa: E402
from sepcore.config_file import load_config, parse_config  # noqa: E402
from sepcore.dataset.check.check import MeasureAll, check_manifest, require_usable  # noqa: E402
from sepcore.dataset.check.measure import SongMeasures  # noqa: E402
from sepcore.dataset.check.report import CheckReport  # noqa: E402
from sepcore.dataset.check.threads import measure_in_threads  # noqa: E402
from sepcore.dataset.manifest import TrackRow, check_columns, manifest_signals, manifest_template  # noqa: E402
from sepcore.errors import DatasetError  # noqa: E402


def _main(arguments: argparse.Namespace) -> int:
    if arguments.template:
        return _write_template(arguments.csvs[0], arguments.params)
    check_ffmpeg()
    # All before the first: a wrong name in the second is not found out after an hour.
    configs = {csv: _config(csv, arguments.params) for csv in arguments.csvs}
    for csv, config in configs.items():
        check_trainable(config)
        check_columns(csv, config)
    reports: list[CheckReport] = []
    for csv, config in configs.items():
        reports.append(
            check_manifest(
                csv,
                config,
                data_dir=arguments.data,
                report=arguments.report,
                measure_all=_with_bar(f"check {csv.name}", config.mix_name, arguments.workers),
                beside=reports,
            )
        )
    if not arguments.params:
        assumed = ModelConfig()
        say(
            [
                f"no -p is given: the songs are checked for Spleeter's defaults, n_channels = {assumed.num_channels}, "
                f"T = {assumed.segment_frames} frames of chunks of {assumed.chunk_duration_s:g} s"
            ]
        )
    for report in reports:
        print_report(report)
    for report in reports:
        require_usable(report)
    return 1 if any(len(report.usable) < report.num_rows for report in reports) else 0


def _config(csv: Path, params: str) -> ModelConfig:
    if params:
        return load_config(params)
    mix_name, instruments = manifest_signals(csv)
    return parse_config(json.dumps({"mix_name": mix_name, "instrument_list": instruments}), csv.name)


def _with_bar(description: str, mix_name: str, num_threads: int | None) -> MeasureAll:
    def measure_all(rows: Sequence[TrackRow]) -> Iterator[tuple[TrackRow, SongMeasures]]:
        with progress_bar() as bar:
            line = bar.add_task(description, total=len(rows), note="")
            for measured in measure_in_threads(rows, mix_name=mix_name, num_threads=num_threads):
                yield measured
                bar.advance(line)

    return measure_all


def _write_template(csv: Path, params: str) -> int:
    config = load_config(params) if params else ModelConfig()
    if csv.exists():
        raise DatasetError(f"{csv}: is there already; give the example another name, or leave out --template.")
    write_text(csv, manifest_template(config))
    model = f" -p {params}" if params else ""
    say(
        [
            f"{csv}: put a row for each song in the place of the examples: its files, relative to the CSV's folder or "
            f"absolute, and the mixture's length in seconds; then run python -m flows.check {csv}{model}"
        ]
    )
    return 0


if __name__ == "__main__":
    assert ARGUMENTS is not None
    run_command(lambda: _main(ARGUMENTS))
