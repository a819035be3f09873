"""MLflow's measures of the machine (cores, memory, disk, network, GPUs) while a training runs."""

import logging
import threading
from contextlib import suppress

from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from tasks.mlflow_store import call_with_timeout, tracking_uri

_EVERY_S = 10.0
_STOP_S = 15.0
_logger = logging.getLogger(__name__)
# MLflow's monitor tells each failure by itself; that the store is gone is told once, by tasks.store_guard.
logging.getLogger("mlflow.system_metrics").setLevel(logging.CRITICAL)


class _Monitor(SystemMetricsMonitor):
    """Tells when its thread has given up: it does at the first failure."""

    def __init__(self, run_id: str, every_s: float) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            run_id, sampling_interval=every_s, resume_logging=True, tracking_uri=tracking_uri()
        )
        self.ended = threading.Event()

    def monitor(self) -> None:
        try:
            super().monitor()  # type: ignore[no-untyped-call]
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
            self._monitor.start()  # type: ignore[no-untyped-call]

    def stop(self) -> None:
        """Send what is measured and end; a store that keeps it longer than a quarter minute is not waited for."""
        self._stopped = True
        if self._monitor is not None:
            with suppress(TimeoutError):
                call_with_timeout(_STOP_S, self._monitor.finish)
