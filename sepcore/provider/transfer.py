"""Download one file over http(s): resumed where the connection broke, tried again where that may help."""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sepcore.errors import ProviderError
from sepcore.system.foreign import MAX_BYTES
from sepcore.system.retries import RetryPolicy, retrying
from sepcore.system.urls import shown

if TYPE_CHECKING:
    import httpx
    from tenacity import Retrying

OnProgress = Callable[[int, int | None], None]
"""Called with the bytes so far and, if known, the bytes in all."""

_logger = logging.getLogger(__name__)
RETRIES = RetryPolicy(tries=4, pause_s=0.5, timeout_s=30)
# As much as a tarball may unpack to; a host can send without end.
_MOST_BYTES = 4 * 2**30
_WORTH_ANOTHER_TRY = frozenset({408, 429, 500, 502, 503, 504})
_PARTIAL, _NO_SUCH_RANGE = 206, 416
_NOT_PUBLISHED = frozenset({403, 404, 410})
# Raw: some servers label a .tar.gz as compressed content, to be unpacked on the way.
_IDENTITY = {"Accept-Encoding": "identity"}


class NotPublished(ProviderError):
    """An address has no such file, or no readable one: buckets answer 403 for missing files."""


def read_url(url: str, *, hint: str = "") -> bytes:
    """The content of a small file, cut off shortly after `MAX_BYTES`; raises as `download` does."""
    with _our_errors(url, hint):
        for attempt in _tries(url):
            with attempt, _response("GET", url) as response:
                content = b""
                for block in response.iter_raw():
                    content += block
                    if len(content) > MAX_BYTES:
                        break
    return content


def size_of_url(url: str) -> int | None:
    """The size of a file in bytes, without downloading it; None if its server does not tell. Raises as `download`."""
    size = None
    with _our_errors(url):
        for attempt in _tries(url):
            with attempt, _response("HEAD", url) as response:
                size = _length(response)
    return size


def download(url: str, destination: Path, *, hint: str = "", on_progress: OnProgress | None = None) -> None:
    """Download ``url`` to ``destination``, and resume what an earlier attempt left there.

    Args:
        url: ``http(s)://…``; redirects are followed.
        destination: File to write. After an error it holds what has arrived so far.
        hint: Of the error after a failure.
        on_progress: Told how far it is, after every block from the network.

    Raises:
        NotPublished: the server has no such file.
        ProviderError: it cannot be downloaded for another reason.
        OSError: if ``destination`` cannot be written.
    """
    etag = ""
    with _our_errors(url, hint), destination.open("ab") as file:
        for attempt in _tries(url, file.tell):
            with attempt, _rest(url, file.tell(), etag) as (response, start):
                etag = response.headers.get("ETag", "")
                length = _length(response)
                file.truncate(start)
                file.seek(start)
                for block in response.iter_raw():
                    if file.tell() + len(block) > _MOST_BYTES:
                        raise ProviderError(f"sends more than {_MOST_BYTES >> 30} GiB", path=url, hint=hint)
                    file.write(block)
                    if on_progress:
                        on_progress(file.tell(), None if length is None else start + length)


@contextmanager
def _rest(url: str, there: int, etag: str) -> "Iterator[tuple[httpx.Response, int]]":
    """The rest of a file after the first bytes, and where it begins: at 0 if the server sends the whole file."""
    headers = {"Range": f"bytes={there}-"} if there else {}
    if there and etag.startswith('"'):  # a strong one
        headers["If-Range"] = etag  # if the file has changed since, the server sends the whole
    with _response("GET", url, headers, allowed=_NO_SUCH_RANGE) as response:
        if response.status_code != _NO_SUCH_RANGE:
            resumed = response.status_code == _PARTIAL
            sent = response.headers.get("Content-Range", "no range")
            if resumed and not sent.startswith(f"bytes {there}-"):
                raise ProviderError(
                    f"the server sent {sent} when asked for the bytes from {there} on",
                    path=url,
                    hint="Use another mirror.",
                )
            yield response, there if resumed else 0
            return
    with _response("GET", url) as response:  # the file is shorter than what is there
        yield response, 0


@contextmanager
def _response(
    method: str, url: str, headers: dict[str, str] | None = None, *, allowed: int | None = None
) -> "Iterator[httpx.Response]":
    import httpx

    headers = {**_IDENTITY, **(headers or {})}
    with httpx.stream(method, url, follow_redirects=True, timeout=RETRIES.timeout_s, headers=headers) as response:
        if response.status_code != allowed:
            response.raise_for_status()
        yield response


def _length(response: "httpx.Response") -> int | None:
    length: str = response.headers.get("Content-Length", "")
    return int(length) if re.fullmatch("[0-9]{1,18}", length) else None


@contextmanager
def _our_errors(url: str, hint: str = "") -> Iterator[None]:
    import httpx

    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        is_missing = isinstance(error, httpx.HTTPStatusError) and error.response.status_code in _NOT_PUBLISHED
        kind = NotPublished if is_missing else ProviderError
        raise kind(f"cannot be downloaded ({_reason(error)})", path=url, hint=hint) from error


def _reason(error: BaseException) -> str:
    import httpx

    if isinstance(error, httpx.HTTPStatusError):
        return f"HTTP {error.response.status_code} {error.response.reason_phrase}"
    return str(error) or type(error).__name__


def _tries(url: str, progress: Callable[[], int] = lambda: 0) -> "Retrying":
    def tell(error: BaseException, pause_s: float) -> None:
        _logger.info("%s: %s; tried again in %.1f s", shown(url), _reason(error), pause_s)

    return retrying(RETRIES, may_pass=_may_pass, asked_pause_s=_asked_pause_s, progress=progress, tell=tell)


def _may_pass(error: BaseException) -> bool:
    import httpx

    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in _WORTH_ANOTHER_TRY
    return isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol)


def _asked_pause_s(error: BaseException) -> float:
    """The pause that a busy server asks for, in seconds; 0 if it asks for none or names a date."""
    import httpx

    asked = error.response.headers.get("Retry-After", "") if isinstance(error, httpx.HTTPStatusError) else ""
    return float(asked) if asked.isascii() and asked.isdigit() else 0.0
