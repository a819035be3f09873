"""GitHub's API and its files, with a token that goes nowhere else, whatever address an answer names."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from sepcore.release.github_repository import GithubRepository
from sepcore.system.retries import RetryPolicy

if TYPE_CHECKING:
    import httpx
    from github.Requester import Requester

# The most that GitHub gives at a time.
_PER_PAGE = 100
_API_VERSION = "2022-11-28"


@contextmanager
def open_api(repository: GithubRepository, patience: RetryPolicy) -> Iterator[tuple["Requester", "httpx.Client"]]:
    """What PyGithub asks the API with, and a client for the content of files; both with the token.

    Both raise a `ReleaseError` instead of sending it to an address that `GithubRepository.check_address` refuses.
    """
    import httpx
    from github import Auth, Github
    from github.Requester import Requester

    class _Checked(Requester):
        # All that is asked comes through here: with a path below the API, or with an address from an answer.
        def requestJson(self, verb: str, url: str, *arguments: Any, **named: Any) -> Any:
            if not url.startswith("/"):
                repository.check_address(url)
            return super().requestJson(verb, url, *arguments, **named)

    def check(request: httpx.Request) -> None:  # redirects, too: httpx leaves the token out where the host is another
        if "Authorization" in request.headers:
            repository.check_address(str(request.url))

    # Its own retries know of nothing but single requests, and its pauses are meant for hundreds of them.
    api = Github(
        base_url=repository.api_url,
        auth=Auth.Token(repository.token),
        timeout=patience.timeout_s,
        per_page=_PER_PAGE,
        retry=None,
        seconds_between_requests=None,
        seconds_between_writes=None,
        api_version=_API_VERSION,
    )
    headers = {"Authorization": f"Bearer {repository.token}", "X-GitHub-Api-Version": _API_VERSION}
    client = httpx.Client(headers=headers, timeout=patience.timeout_s, event_hooks={"request": [check]})
    with api, client as http, closing(_Checked(**api.requester.kwargs)) as requester:
        yield requester, http
