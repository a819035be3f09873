"""How a command is interrupted: Ctrl-C, SIGTERM and a closed terminal all end it the same way."""

import signal
import sys
import threading
from types import FrameType

INTERRUPTED = 130
"""Exit code of an interrupted command, whatever interrupted it."""

_ALIKE = signal.SIGTERM, signal.SIGHUP
_AGAIN_S = 0.05
_again: threading.Timer | None = None


def interrupt_like_ctrl_c() -> None:
    """Let SIGTERM and a closed terminal do what Ctrl-C does, and let no finalizer swallow either.

    The default action would end the process at once, and leave temporary folders and half-written files. What is
    ignored stays so: ``nohup`` has a command outlive its terminal.
    """
    for number in _ALIKE:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _like_ctrl_c)
    sys.unraisablehook = _unraisablehook


def settle_interruption() -> None:
    """At the end of a command: what was to come again has nothing to interrupt any more."""
    if _again is not None:
        _again.cancel()


def is_interruption(error: BaseException) -> bool:
    """Whether an error comes of an interruption.

    One that comes in the import of a compiled package is an ImportError, and what is then written to a terminal that
    has been closed is an OSError.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, KeyboardInterrupt):
        cause = cause.__cause__ or cause.__context__
    return cause is not None


def _like_ctrl_c(number: int, frame: FrameType | None) -> None:
    # Once: kernel and shell both tell of a closed terminal, and the clean-up after the first must not be interrupted.
    for other in _ALIKE:
        if signal.getsignal(other) is _like_ctrl_c:
            signal.signal(other, _nothing_more)  # not SIG_IGN, which processes started from here would inherit
    ctrl_c = signal.getsignal(signal.SIGINT)
    if callable(ctrl_c):
        ctrl_c(signal.SIGINT, frame)  # asyncio's, for one, cancels what runs
    else:  # ignored, as by what a script's shell starts in the background
        raise KeyboardInterrupt


def _nothing_more(number: int, frame: FrameType | None) -> None:
    pass


def _unraisablehook(unraisable: "sys.UnraisableHookArgs") -> None:
    """An interruption comes again after a finalizer, or a callback of the garbage collector, that swallowed it."""
    global _again
    if unraisable.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(unraisable)
        return
    number = signal.SIGINT
    if not callable(signal.getsignal(number)):
        number = signal.SIGTERM
        signal.signal(number, _like_ctrl_c)
    # Later: raised now, it would be swallowed by the same finalizer.
    _again = threading.Timer(_AGAIN_S, signal.pthread_kill, (threading.main_thread().ident, number))
    _again.daemon = True
    _again.start()
