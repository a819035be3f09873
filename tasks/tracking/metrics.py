"""Measures on their way to MLflow: the records of a run's `metrics.jsonl`, and MLflow's own measures of the machine."""

import hashlib
import logging
import math
import os
import posixpath
import re
import threading
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import mlflow
from mlflow.entities import Metric
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from sepcore.errors import TrainingError
from sepcore.training.metrics_log import MetricsRecord, parse_record, read_records
from tasks.tracking import tracking_uri
from tasks.tracking.store import StoreGuard, call_with_timeout, store_client

_logger = logging.getLogger(__name__)
# MLflow's monitor logs each failure itself; that the store is gone is told once, by `StoreGuard`.
logging.getLogger("mlflow.system_metrics").setLevel(logging.CRITICAL)

# MLflow's limit of a call.
_BATCH = 1000
# A call costs about 20 ms of this process with SQLite: 0.2 % of the time at this rate.
_EVERY_S = 10.0
_FIRST_GAP_S, _LONGEST_GAP_S = 5.0, 60.0
_READ_BYTES = 1 << 20
_STOP_S = 15.0
# MLflow's own rule for names, letters and digits of every alphabet among them; and the width of its column.
_ILLEGAL = re.compile(r"[^\w\-./: ]")
_LONGEST_NAME = 250


class MetricsSender:
    """Sends a training's log to an MLflow run, each record once, from a thread that the training does not wait for.

    The log is the truth. The store says of each metric which step it has last, and what comes after is sent. It is
    asked again after a call that failed, since that may have arrived and only its answer been lost.

    Args:
        run_id: MLflow's id of the run.
        log: The run's `metrics.jsonl`; need not exist yet.
        guard: Told whether the store answers.
        client: Gives a client of the store.
        after_send: Called in the sending thread after each call that succeeded.
        every_s: Seconds between looks at the log.
        first_gap_s: Seconds until the store is tried again after a failure, doubled up to a minute.
    """

    def __init__(
        self,
        run_id: str,
        log: Path,
        guard: StoreGuard,
        *,
        client: Callable[[], mlflow.MlflowClient] = store_client,
        after_send: Callable[[], None] = lambda: None,
        every_s: float = _EVERY_S,
        first_gap_s: float = _FIRST_GAP_S,
    ) -> None:
        self._run_id, self._log, self._guard = run_id, log, guard
        self._client, self._after_send = client, after_send
        self._every_s, self._first_gap_s = every_s, first_gap_s
        # The last step that the store has of each metric; None until it has told.
        self._last_steps: dict[str, int] | None = None
        self._is_certain = False
        self._offset = 0
        self._inode: int | None = None
        self._stop = threading.Event()
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mlflow-metrics", daemon=True)

    def start(self) -> None:
        """Send what is there and what comes, until `close`."""
        self._thread.start()

    def close(self, limit_s: float = 30.0) -> int | None:
        """Try a last time to send everything.

        Returns:
            How many records are left for the next command: of a store that does not answer, or of a backlog that
            takes longer than ``limit_s`` seconds. None if they cannot be counted: the store has never told what it
            has, or the log is damaged.
        """
        self._stop.set()
        if not self._thread.ident:
            self._thread.start()
        self._thread.join(limit_s)
        self._abandoned.set()
        try:
            records = [metrics for record in read_records(self._log) if (metrics := _metrics(record))]
        except TrainingError as error:
            _logger.warning("%s", error)
            return None
        if records and self._last_steps is None:
            return None
        return sum(not self._is_sent(metrics) for metrics in records)

    def _work(self) -> None:
        gap_s = self._first_gap_s
        last = False
        while not last:
            # Before sending: what is written until the stop is asked for shall be sent by the last try.
            last = self._stop.is_set()
            try:
                self._send()
                wait_s, gap_s = self._every_s, self._first_gap_s
            except Exception as error:  # the store is gone, or its disk is full: tried again, training goes on
                self._guard.failed("measures", error)
                self._is_certain = False
                wait_s, gap_s = gap_s, min(2 * gap_s, _LONGEST_GAP_S)
            self._stop.wait(wait_s)

    def _send(self) -> None:
        if not self._is_certain:
            stored = self._client().get_run(self._run_id).data
            # `RunData.metrics` has values without their steps.
            self._last_steps = {metric.key: metric.step for metric in stored.to_proto().metrics}
            self._is_certain = True
        while not self._abandoned.is_set() and (batch := self._next_batch()):
            metrics, end = batch
            if metrics:
                self._client().log_batch(self._run_id, metrics=metrics)
                self._note_sent(metrics)
                self._guard.answered()
                self._after_send()
            self._offset = end

    def _is_sent(self, metrics: list[Metric]) -> bool:
        """Whether MLflow has this record, be it as it was measured before the training went on: records go whole."""
        known = self._last_steps or {}
        return any(metric.step <= known.get(metric.key, -1) for metric in metrics)

    def _note_sent(self, metrics: list[Metric]) -> None:
        known = self._last_steps or {}
        self._last_steps = known | {one.key: max(one.step, known.get(one.key, -1)) for one in metrics}

    def _next_batch(self) -> tuple[list[Metric], int] | None:
        """What is to be sent next, and the byte of the log behind it; None at the end of the log."""
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
        batch: list[Metric] = []
        end = self._offset
        for line in whole.splitlines(keepends=True):
            metrics = _metrics(parse_record(line))
            new = [] if self._is_sent(metrics) else metrics
            if batch and len(batch) + len(new) > _BATCH:
                break
            batch += new
            end += len(line)
        return batch, end


def _metrics(record: MetricsRecord) -> list[Metric]:
    """A record's finite values: SQLite refuses a call with an infinite one, and curves cannot show them."""
    time_ms = int(record.time * 1000)
    return [
        Metric(mlflow_name(name), float(value), time_ms, record.step)
        for name, value in record.metrics.items()
        if math.isfinite(value)
    ]


def mlflow_name(name: str) -> str:
    """A metric's or parameter's name as MLflow takes it: itself, or else a readable one with a hash, so unique.

    Symbols are written out: ``test_SDR_🎸`` becomes ``test_SDR_guitar-`` and eight hex digits.
    """
    legal = _ILLEGAL.sub(_in_words, unicodedata.normalize("NFC", name))
    if posixpath.normpath(legal) != legal or legal.startswith(("/", "..")):  # it would be another path
        legal = f"_{legal.replace('/', '_')}"
    if legal == name and len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{legal[: _LONGEST_NAME - len(digest) - 1]}-{digest}"


def _in_words(found: re.Match[str]) -> str:
    words = unicodedata.name(found[0], "").lower().replace(" ", "_")
    apart = found.start() and found.string[found.start() - 1] not in "_ /"
    return f"_{words}" if apart else words or "_"


class _Monitor(SystemMetricsMonitor):
    """Tells when its thread has given up: it does at the first failure."""

    def __init__(self, run_id: str, every_s: float) -> None:
        super().__init__(  # type: ignore[no-untyped-call]  # MLflow's has no types
            run_id, sampling_interval=every_s, resume_logging=True, tracking_uri=tracking_uri()
        )
        self.ended = threading.Event()

    def monitor(self) -> None:
        try:
            super().monitor()  # type: ignore[no-untyped-call]  # likewise
        finally:
            self.ended.set()


class SystemMetrics:
    """Measures of the machine for one MLflow run, taken every ten seconds between `start` and `stop`."""

    def __init__(self, run_id: str, every_s: float = _EVERY_S) -> None:
        self._run_id = run_id
        self._every_s = every_s
        self._monitor: _Monitor | None = None
        self._stopped = False

    def start(self) -> None:
        """Start, or start again where MLflow's monitor has given up; a machine that cannot be measured is told once."""
        if self._stopped or (self._monitor is not None and not self._monitor.ended.is_set()):
            return
        try:
            self._monitor = _Monitor(self._run_id, self._every_s)
        except Exception as error:  # of psutil or a GPU's driver: no reason to end a training
            _logger.warning("the machine cannot be measured: %s", error)
            self._stopped = True
        else:
            self._monitor.start()  # type: ignore[no-untyped-call]  # likewise

    def stop(self) -> None:
        """Send what is measured and end; a store that keeps it longer than 15 seconds is not waited for."""
        self._stopped = True
        if self._monitor is not None:
            with suppress(TimeoutError):
                call_with_timeout(_STOP_S, self._monitor.finish)
