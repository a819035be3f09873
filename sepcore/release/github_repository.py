"""The GitHub repository that releases go to, from the environment."""

import ipaddress
import os
import re
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import SplitResult, urlsplit

from sepcore.errors import ReleaseError
from sepcore.provider.host import GITHUB


@dataclass(frozen=True)
class GithubRepository:
    """Where releases are uploaded.

    Attributes:
        host: ``https://github.com``, or a GitHub Enterprise's ``https://…``, without a final slash. ``http://`` only
            for this machine itself: others could read the token on the way.
        repository: ``owner/name`` on the host.
        token: May write the repository's contents. It is in no message and no ``repr``.
        api: The host's REST API, without a final slash; None for GitHub's usual address.
    """

    host: str
    repository: str
    token: str = field(repr=False)
    api: str | None = None

    @classmethod
    def from_environment(cls) -> Self:
        """From ``GITHUB_HOST``, ``GITHUB_REPOSITORY``, ``GITHUB_TOKEN`` and ``GITHUB_API_URL``.

        Raises:
            ReleaseError: if one of them is missing or unusable.
        """
        # GitHub Actions sets the server and its API on every run; they belong together.
        server = (os.environ.get("GITHUB_SERVER_URL") or "").rstrip("/")
        host = (os.environ.get("GITHUB_HOST") or server or GITHUB).rstrip("/")
        api = (os.environ.get("GITHUB_API_URL") or "").rstrip("/") if server in {"", host} else ""
        for variable, url in (("GITHUB_HOST", host), ("GITHUB_API_URL", api or host)):
            _refuse_unless_safe(variable, url)
        repository = os.environ.get("GITHUB_REPOSITORY") or ""
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository, re.ASCII):
            hint = "Set it to owner/name of the repository that the release goes to."
            raise ReleaseError(f"GITHUB_REPOSITORY is {repository or 'not set'}", hint=hint)
        token = (os.environ.get("GITHUB_TOKEN") or "").strip()
        if not re.fullmatch(r"[!-~]+", token):
            hint = f"Set it to a token that may write the contents of {repository}."
            raise ReleaseError(f"GITHUB_TOKEN is {'not a token' if token else 'not set'}", hint=hint)
        return cls(host, repository, token, api or None)

    @property
    def page(self) -> str:
        """Address of the repository."""
        return f"{self.host}/{self.repository}"

    @property
    def api_url(self) -> str:
        """Address of the host's REST API, without a final slash."""
        if self.api:
            return self.api
        address = urlsplit(self.host)
        name = address.hostname or ""
        # GitHub has its API on another host, an Enterprise Server below its own address.
        return f"{address.scheme}://api.{name.removeprefix('www.')}" if _is_githubs(name) else f"{self.host}/api/v3"

    def check_address(self, url: str) -> None:
        """Raise ReleaseError if the token must not go to an address: by https (or to this machine), to our domain."""
        address, own = urlsplit(url), urlsplit(self.api_url).hostname or ""
        name, domain = address.hostname or "", own.removeprefix("api.")
        domain = domain if _is_githubs(domain) else own
        if not (_is_safe(address) and (name in {own, domain} or name.endswith(f".{domain}"))):
            raise ReleaseError(
                f"leads to {address.scheme}://{name}, but GITHUB_TOKEN is sent only by https, and only to {domain}",
                path=self.api_url,
                hint="Check GITHUB_HOST, and GITHUB_API_URL if it is set.",
            )


def _is_githubs(name: str) -> bool:
    return name in {"github.com", "www.github.com"} or name.endswith(".ghe.com")


def _is_safe(address: SplitResult) -> bool:
    """Whether nobody on the way can read requests to an address."""
    name = address.hostname or ""
    try:
        is_here = name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        is_here = False
    return address.scheme == "https" or (address.scheme == "http" and is_here)


def _refuse_unless_safe(variable: str, url: str) -> None:
    address = urlsplit(url)
    if "@" in address.netloc:
        hint = "Give the address alone, and set GITHUB_TOKEN."
        raise ReleaseError(f"{variable} has a user or password in it", hint=hint)
    if address.scheme not in {"http", "https"} or not address.netloc:
        raise ReleaseError(
            f"{variable} is {url}, but a release can only be uploaded to a GitHub, not to a file: URL or folder",
            hint=f"Set it to {GITHUB} or the https address of a GitHub Enterprise.",
        )
    if not _is_safe(address):
        problem = f"{variable} is {url}, but GITHUB_TOKEN is not sent over http, where it can be read on the way"
        raise ReleaseError(problem, hint="Give the https address.")
