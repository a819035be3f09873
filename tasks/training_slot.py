"""One training at a time on the devices that a process sees, for runs that Prefect's deployments start."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.runtime import deployment

# After so long the slot of a training that was killed is free again.
_LEASE_S = 60.0


@contextmanager
def training_slot() -> Iterator[None]:
    """Wait for other trainings of deployments on these devices to end, and keep the next ones waiting.

    The limit is a global concurrency limit of Prefect's, made here with one slot and kept as its user sets it. Whoever
    starts trainings by commands decides that alone. A server that goes away meanwhile ends no training.
    """
    if deployment.id is None:
        yield
        return
    limit = slot_name()
    if not _has_room(limit):
        get_run_logger().warning(
            "waits for another training to end, or a minute for the slot of one that was killed (concurrency limit %r)",
            limit,
        )
    with concurrency(limit, lease_duration=_LEASE_S, raise_on_lease_renewal_failure=False):
        yield


def slot_name() -> str:
    """The limit's name: the machine, and the GPUs if ``CUDA_VISIBLE_DEVICES`` picks some of them."""
    devices = os.environ.get("CUDA_VISIBLE_DEVICES")
    return f"training on {socket.gethostname()}" + (f" GPU {devices}" if devices else "")


def _has_room(name: str) -> bool:
    with get_client(sync_client=True) as client:
        try:
            limit = client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            try:
                client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))
            except ObjectAlreadyExists:
                logging.getLogger(__name__).info("another process has just made the limit %s", name)
            return True
        return limit.active_slots < limit.limit
