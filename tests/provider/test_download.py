import hashlib
import json

import pytest

from sepcore.errors import ProviderError
from sepcore.provider.download import Release, fetch_model
from tests.provider.conftest import Response

BODY = b"tarball" * 500_000
FOLDER = "/deezer/spleeter/releases/download/v1.4.0"


def checksums(body=BODY, name="2stems"):
    return Response(json.dumps({name: hashlib.sha256(body).hexdigest()}).encode())


def fetch(tmp_path, name="2stems", **options):
    fetch_model(Release.from_environment(), name, tmp_path / "got", **options)
    return (tmp_path / "got").read_bytes()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "https://github.com/deezer/spleeter/releases/download/v1.4.0"),
        ({"GITHUB_RELEASE": "v1.3.0"}, "https://github.com/deezer/spleeter/releases/download/v1.3.0"),
        ({"GITHUB_RELEASE": "latest"}, "https://github.com/deezer/spleeter/releases/latest/download"),
        ({"GITHUB_REPOSITORY": "me/mine"}, "https://github.com/me/mine/releases/latest/download"),
        (
            {"GITHUB_REPOSITORY": "me/mine", "GITHUB_RELEASE": "1.0.0"},
            "https://github.com/me/mine/releases/download/1.0.0",
        ),
        ({"GITHUB_HOST": "https://mirror/"}, "https://mirror/deezer/spleeter/releases/download/v1.4.0"),
        ({"GITHUB_HOST": "", "GITHUB_RELEASE": ""}, "https://github.com/deezer/spleeter/releases/download/v1.4.0"),
    ],
)
def test_the_environment_names_the_release(monkeypatch, environment, expected):
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    assert Release.from_environment().base == expected


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
    ("list_answer", "body_answer", "message"),
    [
        (Response(status=404), Response(BODY), r"checksum\.json: cannot be downloaded \(HTTP 404"),
        (Response(b"<html>"), Response(BODY), "not a list of checksums"),
        (checksums(name="4stems"), Response(BODY), "has no model '2stems'; this release has 4stems"),
        (checksums(), Response(status=500), r"2stems\.tar\.gz: cannot be downloaded \(HTTP 500"),
        (checksums(), Response(BODY[:-9], headers={"Content-Length": str(len(BODY))}), "cannot be downloaded"),
        (checksums(), Response(BODY[:-9]), "the archive is damaged"),
        (checksums(b"other"), Response(BODY), "the archive is damaged"),
        (Response(status=302, headers={"Location": "?again"}), Response(BODY), "cannot be downloaded"),
    ],
)
def test_what_a_server_does_wrong_is_one_line_with_the_address(tmp_path, server, list_answer, body_answer, message):
    server.answers = {f"{FOLDER}/checksum.json": list_answer, f"{FOLDER}/2stems.tar.gz": body_answer}
    server.answers[f"{FOLDER}/checksum.json?again"] = list_answer
    with pytest.raises(ProviderError, match=message) as error:
        fetch(tmp_path)
    assert server.url in str(error.value)
    assert "\n" not in str(error.value)


def test_a_host_that_does_not_answer_is_one_line_with_the_cure(tmp_path, server, monkeypatch):
    monkeypatch.setenv("GITHUB_HOST", "http://127.0.0.1:9")
    with pytest.raises(ProviderError, match=r"http://127\.0\.0\.1:9/.*cannot be downloaded .*GITHUB_HOST.*MODEL_PATH"):
        fetch(tmp_path)


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
    with pytest.raises(ProviderError, match=r"GITHUB_HOST is github\.com; expected an http\(s\) URL"):
        fetch(tmp_path)


def test_a_mirror_without_the_file_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "checksum.json").write_bytes(checksums().body)
    monkeypatch.setenv("GITHUB_HOST", str(tmp_path))
    with pytest.raises(ProviderError, match=r"2stems\.tar\.gz: no such file"):
        fetch(tmp_path)
