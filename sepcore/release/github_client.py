"""What GitHub answers when it fails or refuses: whether to ask again, when, and the error that says so."""

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

from sepcore.errors import ReleaseError
from sepcore.release.github_repository import GithubRepository
from sepcore.system.retries import RetryPolicy, retrying

T = TypeVar("T")

_logger = logging.getLogger(__name__)
# What GitHub asks for where it limits the rate of requests without saying for how long.
_UNSAID_PAUSE_S = 60.0
_LONGEST_REASON = 200
_SECONDS = re.compile("[0-9]{1,11}")  # up to the year 5138: what is a date, too


class Outdated(Exception):
    """GitHub has something else than was last read, or than was sent: look again."""


def patiently(
    step: Callable[[], T], repository: GithubRepository, patience: RetryPolicy, progress: Callable[[], int]
) -> T:
    """Do a step again where it failed and that may help.

    Args:
        step: Looks at what is there before it does something, so that it can be done again.
        repository: Where to.
        patience: For how long.
        progress: Counts what has been brought there; an attempt that brought something was not in vain.

    Returns:
        What the step returns.
    """

    def tell(error: BaseException, pause_s: float) -> None:
        _logger.info("%s: %s; tried again in %.1f s", repository.page, _reason(error, repository), pause_s)

    return retrying(patience, may_pass=_may_pass, asked_pause_s=_asked_pause_s, progress=progress, tell=tell)(step)


@contextmanager
def one_line(repository: GithubRepository) -> Iterator[None]:
    """Turn what the libraries raise into a `ReleaseError`; the token is in none of them."""
    import httpx
    import requests
    from github import BadAttributeException, GithubException

    try:
        yield
    except (GithubException, requests.RequestException, httpx.HTTPError, Outdated) as error:
        complaint = _complaint(error, repository)
    # PyGithub asserts that all addresses in an answer are the API's, raises RuntimeError at a redirect elsewhere, and
    # TypeError where it expects an object and gets a list.
    except (AssertionError, RuntimeError, TypeError, BadAttributeException, ValueError, httpx.InvalidURL) as error:
        complaint = no_github(repository, _reason(error, repository))
    else:
        return
    # Outside of the handlers, and from None: what the libraries raise may hold the request, with the token in it.
    raise complaint from None


def no_github(repository: GithubRepository, reason: str) -> ReleaseError:
    """The error for a host whose answers are not those of GitHub's API."""
    return ReleaseError(
        f"does not answer as GitHub's API does ({reason})",
        path=repository.api_url,
        hint="Check GITHUB_HOST, and GITHUB_API_URL if it is set.",
    )


def _complaint(error: Exception, repository: GithubRepository) -> ReleaseError:
    """What happened, and how to fix it."""
    problem, hint = _problem_and_hint(error, repository)
    return ReleaseError(f"{problem} ({_reason(error, repository)})", path=repository.page, hint=hint)


def _problem_and_hint(error: Exception, repository: GithubRepository) -> tuple[str, str]:
    from github import GithubException

    status = error.status if isinstance(error, GithubException) else None
    asked_s = _asked_pause_s(error)
    if asked_s is not None:
        at = datetime.fromtimestamp(time.time() + asked_s).astimezone()
        return "GitHub limits the rate of requests", f"Run the same command again after {at:%H:%M:%S %Z}."
    if _may_pass(error):
        return (
            "GitHub could not be reached or failed several times in a row",
            "What was uploaded stays there. Run the same command again.",
        )
    give = f"a GITHUB_TOKEN that may write the contents of {repository.repository}"
    if status == 401:
        return "GITHUB_TOKEN is refused", f"Give {give}."
    if status == 403:
        return "GITHUB_TOKEN may not publish releases there", f"Give {give}."
    if status == 404:
        return (
            "no such repository, or none that GITHUB_TOKEN may write",
            f"Check GITHUB_HOST and GITHUB_REPOSITORY, and give {give}.",
        )
    return "GitHub refuses the release", "Fix that on the repository's page, or give another version."


def _may_pass(error: BaseException) -> bool:
    """Whether the same request may succeed later, or one that is made after another look."""
    import httpx
    import requests
    from github import GithubException

    if isinstance(error, GithubException):
        return error.status >= 500 or error.status == 408 or _asked_pause_s(error) is not None or _is_taken(error)
    return isinstance(error, Outdated | requests.RequestException | httpx.TransportError)


def _is_taken(error: Any) -> bool:
    """Whether somebody else was faster: the tag or the asset's name has been given away since it was looked for."""
    return error.status == 422 and any(detail.get("code") == "already_exists" for detail in _details(error))


def _asked_pause_s(error: BaseException) -> float | None:
    """The pause that GitHub asks for, in seconds; None if it asks for none."""
    from github import GithubException

    if not isinstance(error, GithubException) or error.status not in {403, 429, 503}:
        return None
    headers = error.headers or {}
    after, reset = headers.get("retry-after", ""), headers.get("x-ratelimit-reset", "")
    if _SECONDS.fullmatch(after):
        return float(after)
    if headers.get("x-ratelimit-remaining") == "0" and _SECONDS.fullmatch(reset):
        return max(0.0, int(reset) - time.time()) + 1  # the reset is somewhere within that second
    return _UNSAID_PAUSE_S if error.status == 429 or "rate limit" in _said(error).lower() else None


def _reason(error: BaseException, repository: GithubRepository) -> str:
    """The failure in a few words, on one line, without the token, which need not be in the environment."""
    # Before it is cut: half a token is one, too.
    return _said(error).replace(repository.token, "…")[:_LONGEST_REASON]


def _said(error: BaseException) -> str:
    """What GitHub or a library says, on one line."""
    from github import GithubException

    if isinstance(error, GithubException):
        answer = error.data if isinstance(error.data, dict) else {}
        details = [detail.get("message") or detail.get("code") for detail in _details(error)]
        text = ": ".join(str(part) for part in (answer.get("message"), *details) if part)
        text = f"HTTP {error.status} {text}"
    elif isinstance(error, Outdated):
        text = str(error)
    else:
        # The libraries wrap the reason several times over, each with the whole address in it.
        while error.__cause__ or error.__context__:
            error = error.__cause__ or error.__context__ or error
        text = str(error) or type(error).__name__
    return " ".join(text.split())


def _details(error: Any) -> list[dict[str, Any]]:
    details = error.data.get("errors") if isinstance(error.data, dict) else None
    return [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []
