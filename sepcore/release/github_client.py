"""GitHub's REST API for one repository: the token goes nowhere else, and every failure is one line."""

import logging
import re
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pydantic import BaseModel, ValidationError

from sepcore.errors import ReleaseError
from sepcore.release.github_repository import GithubRepository
from sepcore.system.retries import RetryPolicy, retrying

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
Answer = TypeVar("Answer", bound=BaseModel)

_logger = logging.getLogger(__name__)
_PER_PAGE = 100  # the most that GitHub allows
_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
_DOWNLOAD = {"Accept": "application/octet-stream", "Accept-Encoding": "identity"}
# What GitHub asks for where it limits the rate of requests without saying for how long.
_UNSAID_PAUSE_S = 60.0
_LONGEST_REASON = 200
_SECONDS = re.compile("[0-9]{1,11}")  # up to the year 5138: what is a date, too


class GithubError(Exception):
    """GitHub failed, refused something, or has changed since it was last read.

    Attributes:
        status: The HTTP status; 0 if a request succeeded with an unexpected result.
        may_pass: Whether another attempt may succeed.
        asked_pause_s: The pause that GitHub asks for, in seconds; None if it asks for none.
    """

    status = 0
    may_pass = True
    asked_pause_s: float | None = None

    @classmethod
    def of(cls, response: "httpx.Response", asset: str = "") -> Self:
        """The error of an answer; ``asset`` names the file that the request was about, if any."""
        status = response.status_code
        if status == 404 and asset:
            return cls(f"{asset} was removed by somebody else")
        response.read()
        try:
            answer = response.json()
        except ValueError:
            answer = None
        answer = answer if isinstance(answer, dict) else {}  # a proxy may answer with a page
        details = [detail for detail in answer.get("errors") or () if isinstance(detail, dict)]
        parts = (answer.get("message"), *(detail.get("message") or detail.get("code") for detail in details))
        text = ": ".join(str(part) for part in parts if part)
        # Somebody else has taken the tag or the file's name since the last look.
        is_taken = status == 422 and any(detail.get("code") == "already_exists" for detail in details)
        error = cls(f"HTTP {status} {text}")
        error.status, error.asked_pause_s = status, _asked_pause_s(response, text)
        error.may_pass = status >= 500 or status == 408 or error.asked_pause_s is not None or is_taken
        return error


def _asked_pause_s(response: "httpx.Response", text: str) -> float | None:
    if response.status_code not in {403, 429, 503}:
        return None
    after, reset = (response.headers.get(name, "") for name in ("Retry-After", "X-RateLimit-Reset"))
    if _SECONDS.fullmatch(after):
        return float(after)
    if response.headers.get("X-RateLimit-Remaining") == "0" and _SECONDS.fullmatch(reset):
        return max(0.0, int(reset) - time.time()) + 1  # the reset is somewhere within that second
    return _UNSAID_PAUSE_S if response.status_code == 429 or "rate limit" in text.lower() else None


class GithubClient:
    """The API of one repository; see `open`."""

    def __init__(self, repository: GithubRepository, retries: RetryPolicy, http: "httpx.Client") -> None:
        self._repository, self._retries, self._http = repository, retries, http

    @classmethod
    @contextmanager
    def open(cls, repository: GithubRepository, retries: RetryPolicy) -> Iterator[Self]:
        """A client whose failures leave the block as a `ReleaseError` without the token.

        The token is not sent to an address that `GithubRepository.check_address` refuses, even if an answer names it.
        """
        import httpx

        def check(request: httpx.Request) -> None:  # also of redirects; httpx drops the token only for another host
            if "Authorization" in request.headers:
                repository.check_address(str(request.url))

        try:
            with httpx.Client(
                base_url=f"{repository.api_url}/repos/{repository.repository}",
                headers={"Authorization": f"Bearer {repository.token}", **_HEADERS},
                timeout=retries.timeout_s,
                follow_redirects=True,
                event_hooks={"request": [check]},
            ) as http:
                yield cls(repository, retries, http)
        except (GithubError, httpx.TransportError) as error:
            complaint = _complaint(error, repository)
        # Not what the API documents.
        except (ValueError, TypeError, RuntimeError, httpx.HTTPError, httpx.InvalidURL) as error:
            complaint = ReleaseError(
                f"does not answer as GitHub's API does ({_reason(error, repository)})",
                path=repository.api_url,
                hint="Check GITHUB_HOST, and GITHUB_API_URL if it is set.",
            )
        else:
            return
        # Outside of the handlers, and from None: httpx's errors hold the request with the token.
        raise complaint from None

    def send(self, method: str, url: str, *, asset: str = "", **options: Any) -> "httpx.Response":
        """The answer to a request; `GithubError` if it is refused or fails.

        Args:
            method: ``POST``, …
            url: Relative to the repository's, or one that an answer has named.
            asset: Name of the file that the request is about, which existed at the last look.
            options: As for `httpx.request`.
        """
        response = self._http.request(method, url, **options)
        if not response.is_success:
            raise GithubError.of(response, asset)
        if response.request.method != method:  # after a redirect 302 or 303, which changed nothing
            error = GithubError(f"{method} was redirected to {response.url}, where nothing is changed")
            error.may_pass = False
            raise error
        return response

    def blocks(self, url: str, size: int, *, asset: str) -> Generator[bytes, None, None]:
        """The content of a file in blocks of ``size`` bytes; the last may be shorter."""
        with self._http.stream("GET", url, headers=_DOWNLOAD) as response:
            if not response.is_success:
                raise GithubError.of(response, asset)
            yield from response.iter_raw(size)

    def all_of(self, kind: type[Answer], url: str) -> list[Answer]:
        """All items of a list, page by page."""
        found, page = [], f"{url}?per_page={_PER_PAGE}"
        while page:
            response = self.send("GET", page)
            found += [kind.model_validate(item) for item in response.json()]
            page = response.links.get("next", {}).get("url", "")
        return found

    def patiently(self, step: Callable[[], T], progress: Callable[[], int]) -> T:
        """The result of a step, which is repeated after failures that may pass.

        Args:
            step: Can be repeated: it looks at what is there before it changes something.
            progress: See `retrying`.
        """

        def tell(error: BaseException, pause_s: float) -> None:
            reason = _reason(error, self._repository)
            _logger.info("%s: %s; tried again in %.1f s", self._repository.page, reason, pause_s)

        return retrying(
            self._retries,
            may_pass=_may_pass,
            asked_pause_s=lambda error: getattr(error, "asked_pause_s", None),
            progress=progress,
            tell=tell,
        )(step)


def _may_pass(error: BaseException) -> bool:
    import httpx

    return isinstance(error, httpx.TransportError) or (isinstance(error, GithubError) and error.may_pass)


def _complaint(error: Exception, repository: GithubRepository) -> ReleaseError:
    give = f"a GITHUB_TOKEN that may write the contents of {repository.repository}."
    refusals = {
        401: ("GITHUB_TOKEN is refused", f"Give {give}"),
        403: ("GITHUB_TOKEN may not publish releases there", f"Give {give}"),
        404: (
            "no such repository, or none that GITHUB_TOKEN may write",
            f"Check GITHUB_HOST and GITHUB_REPOSITORY, and give {give}",
        ),
    }
    status, asked_s = (error.status, error.asked_pause_s) if isinstance(error, GithubError) else (0, None)
    if asked_s is not None:
        at = datetime.fromtimestamp(time.time() + asked_s).astimezone()
        problem, hint = "GitHub limits the rate of requests", f"Run the same command again after {at:%H:%M:%S %Z}."
    elif _may_pass(error):
        problem = "GitHub could not be reached or failed several times in a row"
        hint = "Completed uploads were kept. Run the same command again."
    else:
        other = "GitHub refuses the release", "Fix that on the repository's page, or give another version."
        problem, hint = refusals.get(status, other)
    return ReleaseError(f"{problem} ({_reason(error, repository)})", path=repository.page, hint=hint)


def _reason(error: BaseException, repository: GithubRepository) -> str:
    """The failure on one short line without the token, which `shown` knows only from the environment."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        text = ": ".join([*(str(part) for part in first["loc"]), first["msg"]])
    else:
        text = str(error) or type(error).__name__
    # Replaced before the text is cut: half a token is a secret too.
    return " ".join(text.split()).replace(repository.token, "…")[:_LONGEST_REASON]
