import hashlib
import json
import os
import time

import pytest

from sepcore.errors import ProviderError
from sepcore.provider.download import fetched_model, published_models
from sepcore.provider.host import Release
from sepcore.provider.transfer import NotPublished
from sepcore.system.locks import lock_of, locked
from tests.provider.conftest import Response, names
from tests.raised import raises

BODY = b"tarball" * 500_000
FOLDER = "/deezer/spleeter/releases/download/v1.4.0"
DIGEST = hashlib.sha256(BODY).hexdigest()
SHORT = BODY[:-9]


def digest_shown(body):
    """As much of a SHA-256 as a message shows."""
    return hashlib.sha256(body).hexdigest()[:12]


def checksums(body=BODY, name="2stems"):
    return Response(json.dumps({name: hashlib.sha256(body).hexdigest()}).encode())


def fetch(tmp_path, name="2stems", **options):
    """What comes; nothing else is left where it was kept."""
    kept = tmp_path / "kept"
    kept.mkdir(exist_ok=True)
    try:
        with fetched_model(published_models(Release.from_environment(), name), name, kept, **options) as archive:
            return archive.path.read_bytes()
    finally:
        assert names(kept) == []


def test_a_model_is_fetched_and_its_progress_told(tmp_path, server):
    server.answers = {f"{FOLDER}/checksum.json": checksums(), f"{FOLDER}/2stems.tar.gz": Response(BODY)}
    progress = []
    assert fetch(tmp_path, on_progress=lambda done, total: progress.append((done, total))) == BODY
    assert progress[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in progress] == sorted({done for done, _ in progress})


def test_redirects_are_followed_as_github_answers_with_them(tmp_path, server):
    server.answers = {
        f"{FOLDER}/checksum.json": Response(status=302, headers={"Location": "/storage/1"}),
        f"{FOLDER}/2stems.tar.gz": Response(status=302, headers={"Location": f"{server.url}/storage/2"}),
        "/storage/1": checksums(),
        "/storage/2": Response(BODY),
    }
    assert fetch(tmp_path) == BODY


def test_a_tarball_that_the_server_calls_compressed_content_is_kept_as_it_is(tmp_path, server):
    body = Response(BODY, headers={"Content-Encoding": "gzip"})
    server.answers = {f"{FOLDER}/checksum.json": checksums(), f"{FOLDER}/2stems.tar.gz": body}
    assert fetch(tmp_path) == BODY


@pytest.mark.parametrize(
    ("list_answer", "body_answer", "kind", "file", "named"),
    [
        (Response(status=404), Response(BODY), NotPublished, "checksum.json", ["HTTP 404"]),
        (Response(b"<html>"), Response(BODY), ProviderError, "checksum.json", ["<SHA-256>"]),
        (checksums(name="4stems"), Response(BODY), ProviderError, "checksum.json", ["'2stems'", "4stems"]),
        (checksums(), Response(status=500), ProviderError, "2stems.tar.gz", ["HTTP 500"]),
        (checksums(), Response(BODY, cut=-9), ProviderError, "2stems.tar.gz", ["peer closed connection"]),
        (checksums(), Response(SHORT), ProviderError, "2stems.tar.gz", [digest_shown(SHORT), digest_shown(BODY)]),
        (checksums(b"x"), Response(BODY), ProviderError, "2stems.tar.gz", [digest_shown(BODY), digest_shown(b"x")]),
        (
            Response(status=302, headers={"Location": "?again"}),
            Response(BODY),
            ProviderError,
            "checksum.json",
            ["redirect"],
        ),
    ],
)
def test_what_a_server_does_wrong_is_one_line_with_the_address(
    tmp_path, server, list_answer, body_answer, kind, file, named
):
    server.answers = {f"{FOLDER}/checksum.json": list_answer, f"{FOLDER}/2stems.tar.gz": body_answer}
    server.answers[f"{FOLDER}/checksum.json?again"] = list_answer
    with raises(kind, *named, path=f"{server.url}{FOLDER}/{file}") as error:
        fetch(tmp_path)
    assert "\n" not in str(error.value)


def test_a_host_that_does_not_answer_is_one_line_with_a_hint(tmp_path, server, monkeypatch):
    monkeypatch.setenv("GITHUB_HOST", "http://127.0.0.1:9")
    with raises(ProviderError, path=f"http://127.0.0.1:9{FOLDER}/checksum.json", hint="GITHUB_HOST") as error:
        fetch(tmp_path)
    assert "MODEL_PATH" in error.value.hint
    assert "2stems.tar.gz" in error.value.hint


@pytest.mark.parametrize("layout", ["deezer/spleeter/releases/download/v1.4.0", "."])
@pytest.mark.parametrize("form", ["file_url", "path"])
def test_a_mirror_may_be_a_folder_in_githubs_layout_or_a_plain_one(tmp_path, monkeypatch, layout, form):
    mirror = tmp_path / "a mirror"
    folder = mirror / layout
    folder.mkdir(parents=True)
    (folder / "2stems.tar.gz").write_bytes(BODY)
    (folder / "checksum.json").write_bytes(checksums().body)
    monkeypatch.setenv("GITHUB_HOST", mirror.as_uri() if form == "file_url" else str(mirror))
    assert fetch(tmp_path) == BODY


def test_a_host_that_is_neither_url_nor_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_HOST", "github.com")
    with raises(ProviderError, "GITHUB_HOST", "github.com", hint="http(s)"):
        fetch(tmp_path)


def test_a_mirror_without_the_file_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "checksum.json").write_bytes(checksums().body)
    monkeypatch.setenv("GITHUB_HOST", str(tmp_path))
    with raises(NotPublished, path=tmp_path / "2stems.tar.gz", hint="MODEL_PATH"):
        fetch(tmp_path)


# What a killed process left


def left_over(tmp_path, content):
    (tmp_path / "kept").mkdir()
    partial = tmp_path / "kept" / f".2stems-{DIGEST[:16]}.part"
    partial.write_bytes(content)
    return partial


def test_a_download_that_was_killed_is_gone_on_with(tmp_path, server):
    server.answers = {f"{FOLDER}/checksum.json": checksums(), f"{FOLDER}/2stems.tar.gz": Response(BODY, ranges=True)}
    left_over(tmp_path, BODY[:1000])
    progress = []
    assert fetch(tmp_path, on_progress=lambda done, total: progress.append((done, total))) == BODY
    assert server.ranges == ["bytes=1000-"]
    assert progress[-1] == (len(BODY), len(BODY))


def test_a_download_that_was_whole_already_is_not_asked_for_again(tmp_path, server):
    server.answers = {f"{FOLDER}/checksum.json": checksums()}
    left_over(tmp_path, BODY)
    assert fetch(tmp_path) == BODY


@pytest.mark.parametrize("content", [b"damaged" * 100, BODY + b"more"])
def test_what_is_left_but_damaged_is_fetched_anew(tmp_path, server, content):
    server.answers = {f"{FOLDER}/checksum.json": checksums(), f"{FOLDER}/2stems.tar.gz": Response(BODY, ranges=True)}
    left_over(tmp_path, content)
    assert fetch(tmp_path) == BODY


def test_what_nobody_has_gone_on_with_for_a_day_goes_and_nothing_else(tmp_path, server):
    server.answers = {f"{FOLDER}/checksum.json": checksums(), f"{FOLDER}/2stems.tar.gz": Response(BODY)}
    left = [".4stems-0123456789abcdef.part", ".2stems-0123456789abcdef.part"]
    kept = [".5stems-0123456789abcdef.part", ".mine.part", "4stems-0123456789abcdef.part", ".4stems-0123.part"]
    for name in [*left, *kept]:
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (time.time() - 90_000,) * 2)
    listing = published_models(Release.from_environment(), "2stems")
    # Of 5stems, it only looks old: a clock has jumped.
    with locked(lock_of(tmp_path / "5stems"), "5stems"), fetched_model(listing, "2stems", tmp_path) as archive:
        assert archive.path.read_bytes() == BODY
    assert names(tmp_path) == sorted(kept)


# Mirrors


@pytest.mark.parametrize("missing", [403, 404])
@pytest.mark.parametrize("folder", ["/v1.4.0", ""])
def test_a_mirror_may_be_a_plain_server_of_releases_or_of_one(tmp_path, server, folder, missing):
    server.missing = Response(status=missing)  # buckets answer 403
    server.answers = {f"{folder}/checksum.json": checksums(), f"{folder}/2stems.tar.gz": Response(BODY)}
    assert fetch(tmp_path) == BODY


def test_the_newest_release_of_a_folder_of_releases_is_the_latest(tmp_path, monkeypatch):
    for version, body in (("1.9.0", b"older"), ("1.10.0", BODY), ("2.0.0-rc.1", b"unfinished"), ("notes", b"none")):
        folder = tmp_path / "releases" / version
        folder.mkdir(parents=True)
        (folder / "mine.tar.gz").write_bytes(body)
        (folder / "checksum.json").write_bytes(checksums(body, "mine").body)
    monkeypatch.setenv("GITHUB_HOST", str(tmp_path / "releases"))
    monkeypatch.setenv("GITHUB_RELEASE", "latest")
    assert fetch(tmp_path, "mine") == BODY
    monkeypatch.setenv("GITHUB_RELEASE", "1.9.0")
    assert fetch(tmp_path, "mine") == b"older"


@pytest.mark.parametrize("host", ["server", "folder"])
def test_what_a_release_offers_is_told_with_its_sizes(tmp_path, server, monkeypatch, host):
    listed = Response(json.dumps({"2stems": DIGEST, "gone": DIGEST}).encode())
    if host == "folder":
        (tmp_path / "checksum.json").write_bytes(listed.body)
        (tmp_path / "2stems.tar.gz").write_bytes(BODY)
        monkeypatch.setenv("GITHUB_HOST", str(tmp_path))
    else:
        server.answers = {f"{FOLDER}/checksum.json": listed, f"{FOLDER}/2stems.tar.gz": Response(BODY)}
    listing = published_models(Release.from_environment())
    assert listing.sha256 == {"2stems": DIGEST, "gone": DIGEST}
    assert listing.sizes() == {"2stems": len(BODY), "gone": None}
    assert server.requests[f"{FOLDER}/2stems.tar.gz"] == 0


def test_a_password_in_the_address_is_in_no_message_and_no_record(tmp_path, server, monkeypatch):
    monkeypatch.setenv("GITHUB_HOST", server.url.replace("://", "://me:secret@"))
    server.answers = {f"{FOLDER}/checksum.json": checksums(), f"{FOLDER}/2stems.tar.gz": Response(BODY)}
    with fetched_model(published_models(Release.from_environment()), "2stems", tmp_path) as archive:
        assert archive.origin == f"{server.url}{FOLDER}/2stems.tar.gz"
    server.answers[f"{FOLDER}/2stems.tar.gz"] = [Response(status=404), Response(b"other")]
    for kind, named in ((NotPublished, "HTTP 404"), (ProviderError, digest_shown(b"other"))):
        with raises(kind, named, path=f"{server.url}{FOLDER}/2stems.tar.gz") as error:
            fetch(tmp_path)
        assert "secret" not in f"{error.value} {vars(error.value)}"
    server.answers[f"{FOLDER}/checksum.json"] = Response(b"<html>")
    with raises(ProviderError, "<SHA-256>", path=f"{server.url}{FOLDER}/checksum.json") as error:
        fetch(tmp_path)
    assert "secret" not in f"{error.value} {vars(error.value)}"
