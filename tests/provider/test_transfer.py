from dataclasses import replace

import pytest

from sepcore.errors import ProviderError
from sepcore.provider import transfer
from sepcore.provider.transfer import NotPublished, download, read_url, size_of_url
from tests.provider.conftest import Response
from tests.raised import raises

BODY = bytes(range(256)) * 20_000
BUSY = Response(status=503)
HINT = "Use a mirror."


@pytest.fixture
def get(tmp_path, server):
    def get(*answers, there=b""):
        server.answers["/file"] = list(answers)
        (tmp_path / "got").write_bytes(there)
        download(f"{server.url}/file", tmp_path / "got", hint=HINT)
        return (tmp_path / "got").read_bytes()

    return get


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_that_is_busy_for_a_while_is_asked_again(get, server, status):
    busy = Response(status=status)
    assert get(busy, busy, busy, Response(BODY)) == BODY
    assert server.requests["/file"] == 4


def test_one_that_stays_busy_is_given_up(get, server):
    with raises(ProviderError, "HTTP 503 Service Unavailable", path=f"{server.url}/file", hint=HINT):
        get(BUSY)
    assert server.requests["/file"] == 4


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, ProviderError), (401, ProviderError), (403, NotPublished), (404, NotPublished), (410, NotPublished)],
)
def test_what_will_not_pass_is_not_asked_for_again(get, server, status, kind):
    with raises(kind, f"HTTP {status}", path=f"{server.url}/file", hint=HINT):
        get(Response(status=status))
    assert server.requests["/file"] == 1


def test_a_connection_that_breaks_is_gone_on_with_where_it_broke(get, server):
    broken = [Response(BODY, ranges=True, cut=1_000_000) for _ in range(5)]
    assert get(*broken, Response(BODY, ranges=True)) == BODY
    assert server.ranges == [f"bytes={done}000000-" for done in range(1, 6)]  # more breaks than tries in vain


def test_a_server_without_ranges_begins_anew(get, server):
    assert get(Response(BODY, cut=1_000_000), Response(BODY)) == BODY
    assert server.ranges == ["bytes=1000000-"]


def test_one_that_always_breaks_at_the_same_place_is_given_up(get, server):
    with raises(ProviderError, path=f"{server.url}/file", hint=HINT):
        get(Response(BODY, cut=1_000_000))
    assert server.requests["/file"] == 4


def test_the_rest_of_a_file_that_has_changed_meanwhile_is_not_taken(get):
    before = Response(b"before" * 500_000, ranges=True, cut=1_000_000, headers={"ETag": '"1"'})
    assert get(before, Response(BODY, ranges=True, headers={"ETag": '"2"'})) == BODY


def test_a_file_shorter_than_what_is_there_is_fetched_whole(get):
    assert get(Response(b"short", ranges=True), there=b"something longer") == b"short"


def test_another_part_than_the_one_asked_for_is_refused(get, server):
    wrong = Response(b"abc", status=206, headers={"Content-Range": "bytes 0-2/3"})
    with raises(ProviderError, "bytes 0-2/3", "from 1", path=f"{server.url}/file"):
        get(wrong, there=b"x")


def test_a_server_that_names_a_short_pause_is_obeyed(get, monkeypatch):
    pauses = []
    monkeypatch.setattr(transfer, "RETRIES", replace(transfer.RETRIES, sleep=pauses.append))
    assert get(Response(status=429, headers={"Retry-After": "7"}), Response(BODY)) == BODY
    assert pauses == [7]


def test_one_that_names_a_long_pause_is_given_up_at_once(get, server):
    with raises(ProviderError, "HTTP 429", hint=HINT):
        get(Response(status=429, headers={"Retry-After": "3600"}))
    assert server.requests["/file"] == 1


def test_small_files_and_sizes_are_asked_for_again_too(server):
    server.answers["/file"] = [BUSY, Response(b"small")]
    assert read_url(f"{server.url}/file") == b"small"
    assert size_of_url(f"{server.url}/file") == 5
    with raises(NotPublished, "HTTP 404", path=f"{server.url}/other", hint=HINT):
        read_url(f"{server.url}/other", hint=HINT)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/file", "ftp://127.0.0.1/file", "http://[/file"])
def test_an_address_that_leads_nowhere_is_one_line_with_the_hint(tmp_path, url):
    with raises(ProviderError, path=url, hint=HINT) as error:
        download(url, tmp_path / "got", hint=HINT)
    assert "\n" not in str(error.value)


def test_pauses_grow(get, monkeypatch):
    pauses = []
    monkeypatch.setattr(transfer, "RETRIES", replace(transfer.RETRIES, pause_s=0.5, sleep=pauses.append))
    assert get(BUSY, BUSY, BUSY, Response(BODY)) == BODY
    assert pauses == [0.5, 1, 2]


def test_a_host_that_sends_without_end_fills_neither_memory_nor_disk(get, server, monkeypatch):
    server.answers["/list"] = Response(bytes(3_000_000))
    assert len(read_url(f"{server.url}/list")) < 1_200_000
    monkeypatch.setattr(transfer, "_MOST_BYTES", 1_000_000)
    with raises(ProviderError, "GiB", path=f"{server.url}/file", hint=HINT):
        get(Response(BODY))
    assert server.requests["/file"] == 1


@pytest.mark.parametrize("asked", ["\xb2", "9" * 400, "-1", "soon"])
def test_a_pause_that_makes_no_sense_is_none(get, asked):
    with raises(ProviderError, "HTTP 503", hint=HINT):
        get(Response(status=503, headers={"Retry-After": asked}))
