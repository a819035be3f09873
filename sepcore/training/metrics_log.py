"""What a training has measured, a line a record in the run folder: `metrics.jsonl`."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from sepcore.errors import TrainingError
from sepcore.system.atomic import write_text

Kind = Literal["train", "validation", "system"]


@dataclass(frozen=True)
class MetricsRecord:
    """Measures of one step.

    Attributes:
        kind: ``train``: losses and learning rate, which a deterministic training repeats to the bit; ``validation``;
            ``system``: speed. There is one record of a kind and step.
        step: Training steps done.
        time: Unix time in seconds.
        metrics: Values by name; some may not be finite.
    """

    kind: Kind
    step: int
    time: float
    metrics: Mapping[str, float]


_FORM = TypeAdapter(MetricsRecord)


def append_record(path: Path, record: MetricsRecord) -> None:
    """Add a record to the end of a log; its folder must exist."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(record)) + "\n")


def parse_record(line: bytes) -> MetricsRecord:
    """The record of a line of a log; ValueError if it is none."""
    return _FORM.validate_json(line)


def read_records(path: Path) -> list[MetricsRecord]:
    """All records of a log in their order, none if there is no file; a last line that a kill cut short is left out.

    Raises:
        TrainingError: another line is damaged; it is named.
    """
    if not path.is_file():
        return []
    records = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        try:
            records.append(parse_record(line))
        except ValidationError as error:
            problem = f"line {number} is not a record of measures"
            raise TrainingError(problem, path=path, hint="Delete this line, and run the command again.") from error
    return records


def cut_records(path: Path, *, step: int, validated: bool) -> None:
    """Drop what was measured after the step that a training goes on from, and an unfinished validation at it.

    Args:
        path: The log; need not exist.
        step: Of the checkpoint.
        validated: Whether the validation after that checkpoint was finished.
    """
    kept = [
        record
        for record in read_records(path)
        if record.step < step or (record.step == step and (validated or record.kind != "validation"))
    ]
    write_text(path, "".join(json.dumps(asdict(record)) + "\n" for record in kept))


class SpeedMeter:
    """Measures how fast a training is from ``step`` on, for a ``system`` record."""

    def __init__(self, step: int) -> None:
        self._step, self._started = step, time.perf_counter()
        self._waited_s = 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """What is done in it counts as waiting for data."""
        started = time.perf_counter()
        yield
        self._waited_s += time.perf_counter() - started

    def metrics(self, step: int, batch_size: int) -> dict[str, float]:
        """``examples_per_s`` and ``data_wait_share`` up to a step."""
        elapsed_s = time.perf_counter() - self._started
        examples = (step - self._step) * batch_size
        return {"examples_per_s": examples / elapsed_s, "data_wait_share": self._waited_s / elapsed_s}
