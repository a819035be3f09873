"""The records of a run's `metrics.jsonl` sent to MLflow in batches, from a thread that training does not wait for."""

import json
import math
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow.entities import Metric

from sepcore.training.metrics_log import MetricsRecord, read_records
from tasks.metrics_cursor import MetricsCursor
from tasks.mlflow_names import mlflow_name
from tasks.store_guard import StoreGuard

# MLflow's limit of a call.
_BATCH = 1000
# A call costs about 20 ms of this process with SQLite: 0.2 % of the time at this rate.
_EVERY_S = 10.0
_FIRST_GAP_S, _LONGEST_GAP_S = 5.0, 60.0
_READ_BYTES = 1 << 20


@dataclass(frozen=True)
class _Batch:
    """Records for one call, all of their finite metrics, and the byte of the log behind them."""

    records: list[tuple[MetricsRecord, str]]
    metrics: list[Metric]
    end: int


class MetricsSpool:
    """What a training writes to its log, brought to an MLflow run sooner or later, each record once.

    Args:
        client: Gives a client of the store.
        run_id: MLflow's id of the run.
        log: The run's `metrics.jsonl`; need not exist yet.
        cursor: File that keeps how far it has been sent.
        guard: Told whether the store answers.
        after_send: Called in the sending thread after each call that succeeded.
        every_s: Seconds between looks at the log.
        first_gap_s: Seconds until the store is tried again after a failure, doubled up to a minute.
    """

    def __init__(
        self,
        client: Callable[[], mlflow.MlflowClient],
        run_id: str,
        *,
        log: Path,
        cursor: Path,
        guard: StoreGuard,
        after_send: Callable[[], None] = lambda: None,
        every_s: float = _EVERY_S,
        first_gap_s: float = _FIRST_GAP_S,
    ) -> None:
        self._client = client
        self._run_id = run_id
        self._log = log
        self._cursor = MetricsCursor(cursor, run_id)
        self._guard = guard
        self._after_send = after_send
        self._every_s = every_s
        self._first_gap_s = first_gap_s
        self._offset = 0
        self._inode: int | None = None
        self._settled = False
        self._tried: _Batch | None = None
        self._stop = threading.Event()
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mlflow-metrics", daemon=True)

    def start(self) -> None:
        """Send what is there and what comes, until `close`."""
        self._thread.start()

    def close(self, limit_s: float = 30.0) -> int:
        """Try a last time to send everything.

        Returns:
            How many records are left for the next command: of a store that does not answer, or of a backlog that
            takes longer than ``limit_s`` seconds.
        """
        self._stop.set()
        if not self._thread.ident:
            self._thread.start()
        self._thread.join(limit_s)
        self._abandoned.set()
        return sum(not self._cursor.is_sent(record) and bool(_metrics(record)) for record in read_records(self._log))

    def _work(self) -> None:
        gap_s = self._first_gap_s
        last = False
        while not last:
            # Before sending: what is written until the stop is asked for shall be sent by the last try.
            last = self._stop.is_set()
            try:
                self._send()
                wait_s, gap_s = self._every_s, self._first_gap_s
            except Exception as error:  # the store is gone, or the disk is full: tried again, training goes on
                self._guard.failed("measures", error)
                wait_s, gap_s = gap_s, min(2 * gap_s, _LONGEST_GAP_S)
            self._stop.wait(wait_s)

    def _send(self) -> None:
        if not self._settled:
            self._cursor.settle(self._has_metric)
            self._settled = True
        # What failed is repeated as it was, since the call may have arrived and only its answer been lost: MLflow keeps
        # the same value of the same time once.
        while not self._abandoned.is_set() and (batch := self._tried or self._next_batch()):
            if batch.metrics:
                self._tried = batch
                self._cursor.begin(batch.records)
                self._client().log_batch(self._run_id, metrics=batch.metrics)
                self._cursor.finish()
                self._tried = None
                self._guard.answered()
                self._after_send()
            self._offset = batch.end

    def _has_metric(self, name: str, step: int) -> bool:
        return any(metric.step == step for metric in self._client().get_metric_history(self._run_id, name))

    def _next_batch(self) -> _Batch | None:
        """The next records that are not sent; None at the end of the log."""
        if not self._log.is_file():
            return None
        with self._log.open("rb") as file:
            inode = os.fstat(file.fileno()).st_ino
            if inode != self._inode:  # replaced: a training that goes on cuts off what it will measure again
                self._inode, self._offset = inode, 0
            file.seek(self._offset)
            content = file.read(_READ_BYTES)
        whole = content[: content.rfind(b"\n") + 1]
        if not whole:
            return None
        records: list[tuple[MetricsRecord, str]] = []
        metrics: list[Metric] = []
        end = self._offset
        for line in whole.splitlines(keepends=True):
            record = MetricsRecord(**json.loads(line))
            new = [] if self._cursor.is_sent(record) else _metrics(record)
            if metrics and len(metrics) + len(new) > _BATCH:
                break
            if new:
                records.append((record, new[0].key))
            metrics += new
            end += len(line)
        return _Batch(records, metrics, end)


def _metrics(record: MetricsRecord) -> list[Metric]:
    """A record's finite values: SQLite refuses a call with an infinite one, and curves cannot show them."""
    time_ms = int(record.time * 1000)
    return [
        Metric(mlflow_name(name), float(value), time_ms, record.step)
        for name, value in record.metrics.items()
        if math.isfinite(value)
    ]
