"""Repeat what failed on a network where that may help."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tenacity import RetryCallState, Retrying


@dataclass(frozen=True)
class RetryPolicy:
    """How often something that fails is tried again.

    Attributes:
        tries: Attempts in a row without progress.
        pause_s: Seconds after the first failure; each further pause is twice the one before.
        longest_pause_s: The longest pause in seconds that a server may ask for.
        timeout_s: Seconds without a byte after which a connection counts as broken.
        sleep: Waits the given seconds.
    """

    tries: int
    pause_s: float
    longest_pause_s: float = 60.0
    timeout_s: int = 60
    sleep: Callable[[float], None] = time.sleep


def retrying(
    policy: RetryPolicy,
    *,
    may_pass: Callable[[BaseException], bool],
    asked_pause_s: Callable[[BaseException], float | None],
    progress: Callable[[], int],
    tell: Callable[[BaseException, float], None],
) -> "Retrying":
    """Attempts until one succeeds; the last failure is raised as it is.

    Args:
        policy: How often, and how long in between.
        may_pass: Whether another attempt may succeed after this failure.
        asked_pause_s: The pause in seconds that a server asks for with a failure; None if it asks for none.
        progress: Counts what has been achieved so far; an attempt that raises it does not count against ``tries``.
        tell: Told of a failure that is followed by another attempt, and after how many seconds.

    Returns:
        Call it with a function, or loop over it with each attempt as a context (see tenacity).
    """
    from tenacity import Retrying, retry_if_exception

    best, in_vain = progress(), 0

    def count(_: "RetryCallState") -> None:
        nonlocal best, in_vain
        best, in_vain = (progress(), 1) if progress() > best else (best, in_vain + 1)

    def pause_s(state: "RetryCallState") -> float:
        doubled: float = policy.pause_s * 2 ** (in_vain - 1)
        return max(asked_pause_s(_error(state)) or 0.0, doubled)

    def is_hopeless(state: "RetryCallState") -> bool:
        return in_vain >= policy.tries or (asked_pause_s(_error(state)) or 0.0) > policy.longest_pause_s

    return Retrying(
        retry=retry_if_exception(may_pass),
        after=count,
        wait=pause_s,
        stop=is_hopeless,
        before_sleep=lambda state: tell(_error(state), state.upcoming_sleep),
        sleep=policy.sleep,
        reraise=True,
    )


def _error(state: "RetryCallState") -> BaseException:
    error = state.outcome.exception() if state.outcome else None
    assert error is not None  # only failures are asked about
    return error
