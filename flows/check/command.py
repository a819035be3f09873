"""The check of manifests: each song measured, and a table of what cannot be used."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from flows.check.options import Options
from flows.support.inputs import check_ffmpeg, check_trainable
from flows.support.terminal import progress_bar, say
from sepcore.config.load import load_config, parse_config
from sepcore.config.model_config import ModelConfig
from sepcore.dataset.check.check import MeasureAll, check_manifest, measure_in_threads, require_usable
from sepcore.dataset.check.findings import SEVERITIES
from sepcore.dataset.check.measure import SongMeasures
from sepcore.dataset.check.report import CheckReport, RowFinding
from sepcore.dataset.manifest import TrackRow, check_columns, manifest_signals, manifest_template
from sepcore.errors import DatasetError
from sepcore.system.atomic import write_text

_SHOWN_ROWS = 5  # of one kind of finding
_TITLES = {"left out": "left out", "warning": "with warnings", "note": "with notes"}


def main(options: Options) -> int:
    """Check the songs; 1 if some cannot be used."""
    if options.template:
        return _write_template(options.csvs[0], options)
    check_ffmpeg()
    # All configs first: a wrong name in the second CSV should not be found after an hour.
    configs = {csv: _config(csv, options) for csv in options.csvs}
    for csv, config in configs.items():
        check_trainable(config)
        check_columns(csv, config)
    reports: list[CheckReport] = []
    for csv, config in configs.items():
        reports.append(
            check_manifest(
                csv,
                config,
                data_dir=options.data_dir,
                report=options.report,
                measure_all=_with_bar(f"check {csv.name}", config.mix_name, options.workers),
                beside=reports,
            )
        )
    if not options.params:
        assumed = ModelConfig()
        say(
            [
                f"no -p is given: the songs are checked for Spleeter's defaults, n_channels = {assumed.num_channels}, "
                f"T = {assumed.segment_frames} frames of chunks of {assumed.chunk_duration_s:g} s"
            ]
        )
    for report in reports:
        _print_report(report)
    for report in reports:
        require_usable(report)
    return 1 if any(len(report.usable) < report.num_rows for report in reports) else 0


def _config(csv: Path, options: Options) -> ModelConfig:
    if options.params:
        return options.changed(load_config(options.params))
    mix_name, instruments = manifest_signals(csv)
    return options.changed(parse_config(json.dumps({"mix_name": mix_name, "instrument_list": instruments}), csv.name))


def _with_bar(description: str, mix_name: str, num_threads: int | None) -> MeasureAll:
    def measure_all(rows: Sequence[TrackRow]) -> Iterator[tuple[TrackRow, SongMeasures]]:
        measured = measure_in_threads(rows, mix_name=mix_name, num_threads=num_threads)
        with progress_bar() as bar:
            yield from bar.track(measured, total=len(rows), description=description)

    return measure_all


def _print_report(report: CheckReport) -> None:
    """A table each for rows left out, warnings and notes, findings with the same cure together; then a summary."""
    console = Console()
    for severity in SEVERITIES:
        kinds: dict[str, list[RowFinding]] = {}
        for found in report.findings():
            if found.finding.severity == severity:
                kinds.setdefault(found.finding.cure, []).append(found)
        if kinds:
            num_rows = len({found.number for alike in kinds.values() for found in alike})
            table = Table("row", "song", "reason", "cure", show_lines=True)
            table.title = f"{report.csv}: {num_rows} of {report.num_rows} rows {_TITLES[severity]}"
            # Nothing needs to be done about a note: one example is enough.
            shown = 1 if severity == "note" else _SHOWN_ROWS
            for cure, alike in kinds.items():
                for place, found in enumerate(alike[:shown]):
                    table.add_row(str(found.number), found.song, found.finding.reason, "" if place else cure)
                if len(alike) > shown:
                    table.add_row("…", "", f"and {len(alike) - shown} more like it", "")
            console.print(table, markup=False, highlight=False)
    console.print(report.summary_line(), markup=False, highlight=False, soft_wrap=True)


def _write_template(csv: Path, options: Options) -> int:
    config = options.changed(load_config(options.params) if options.params else ModelConfig())
    if csv.exists():
        raise DatasetError("already exists", path=csv, hint="Give the example another name, or leave out --template.")
    write_text(csv, manifest_template(config))
    model = f" -p {options.params}" if options.params else ""
    say(
        [
            f"{csv}: put a row for each song in the place of the examples: its files, relative to the CSV's folder or "
            f"absolute, and the mixture's length in seconds; then run python -m flows.check {csv}{model}"
        ]
    )
    return 0
