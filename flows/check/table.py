"""The findings of a dataset check as tables on the terminal."""

from rich.console import Console
from rich.table import Table

from sepcore.dataset.check.findings import SEVERITIES
from sepcore.dataset.check.report import CheckReport, RowFinding

_SHOWN_ROWS = 5  # of one kind of finding
_TITLES = {"left out": "left out", "warning": "with warnings", "note": "with notes"}


def print_report(report: CheckReport) -> None:
    """One table for rows left out, warnings and notes each, findings with the same cure together; then a summary."""
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
            for cure, alike in kinds.items():
                # Nothing needs to be done about a note: one example is enough.
                _add_kind(table, cure, alike, shown=1 if severity == "note" else _SHOWN_ROWS)
            console.print(table, markup=False, highlight=False)
    console.print(report.summary_line(), markup=False, highlight=False, soft_wrap=True)


def _add_kind(table: Table, cure: str, alike: list[RowFinding], *, shown: int) -> None:
    for place, found in enumerate(alike[:shown]):
        table.add_row(str(found.number), found.song, found.finding.reason, "" if place else cure)
    if len(alike) > shown:
        table.add_row("…", "", f"and {len(alike) - shown} more like it", "")
