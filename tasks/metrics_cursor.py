"""How far the records of a run's `metrics.jsonl` have been sent to MLflow, in a small file beside it."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from sepcore.system.atomic import write_text
from sepcore.training.metrics_log import MetricsRecord

HasMetric = Callable[[str, int], bool]
"""Whether MLflow holds a value of a metric at a step."""


class MetricsCursor:
    """The last step sent of each kind of record, for one MLflow run; for another nothing has been sent."""

    def __init__(self, path: Path, run_id: str) -> None:
        self._path = path
        self._run_id = run_id
        self._sent: dict[str, int] = {}
        self._sending: dict[str, tuple[int, str]] = {}
        if path.is_file():
            content = json.loads(path.read_text("utf-8"))
            if content["run_id"] == run_id:
                self._sent = content["sent"]
                self._sending = {kind: (step, name) for kind, (step, name) in content["sending"].items()}

    def is_sent(self, record: MetricsRecord) -> bool:
        """Whether this record is in MLflow already, be it as it was measured before the training went on."""
        return record.step <= self._sent.get(record.kind, -1)

    def begin(self, batch: Iterable[tuple[MetricsRecord, str]]) -> None:
        """Note records that are about to be sent in one call, each with the name of one of its metrics."""
        self._sending = {record.kind: (record.step, name) for record, name in batch}
        self._write()

    def finish(self) -> None:
        """What was begun has arrived."""
        self._sent |= {kind: step for kind, (step, _) in self._sending.items()}
        self._sending = {}
        self._write()

    def settle(self, has_metric: HasMetric) -> None:
        """Find out whether a batch that a killed process had begun arrived: a batch arrives whole or not at all."""
        if self._sending:
            if any(has_metric(name, step) for step, name in self._sending.values()):
                self.finish()
            else:
                self._sending = {}

    def _write(self) -> None:
        content = {"run_id": self._run_id, "sent": self._sent, "sending": self._sending}
        write_text(self._path, json.dumps(content) + "\n")
