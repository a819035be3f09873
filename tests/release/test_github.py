import hashlib
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

import httpx
import pytest

from sepcore.errors import ReleaseError
from sepcore.provider.checksum import VerifiedArchive
from sepcore.release.github import RETRIES, check_upload, upload_release
from sepcore.release.github_repository import GithubRepository
from tests.raised import raises
from tests.release.github_server import TOKEN, GithubServer

# The name under which a new list of checksums waits to take its place.
WAITING = re.compile(r"checksum\.[0-9a-f]{12}\.json")
LISTED = ["upload WAITING", "rename WAITING checksum.json"]
CHANGES = ["create draft 1.0.0", "upload mine.tar.gz", *LISTED, "publish 1.0.0"]
BIG = 3 << 20
MINE = b"mine" * (BIG // 4)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def github():
    with GithubServer() as server:
        yield server


@pytest.fixture
def write_folder(tmp_path):
    """Writes a folder of a release from the content of its models' tarballs."""

    def write(name="1.0.0", /, **models):
        folder = tmp_path / name
        folder.mkdir()
        for model, content in models.items():
            (folder / f"{model}.tar.gz").write_bytes(content)
        checksums = {model: sha256(content) for model, content in models.items()}
        (folder / "checksum.json").write_text(json.dumps(checksums))
        return folder

    return write


@pytest.fixture
def folder(write_folder):
    return write_folder(mine=MINE)


@pytest.fixture
def waits():
    """The pauses in seconds, which no test waits for."""
    return []


@pytest.fixture
def upload(github, waits):
    def upload(folder, **options):
        defaults = {"tag": "1.0.0", "repository": github.repository, "notes": "Notes.", "retries": retries(waits)}
        return upload_release(folder, **(defaults | options))

    return upload


def retries(waits):
    return replace(RETRIES, sleep=waits.append, timeout_s=5)


def changes(github):
    return [WAITING.sub("WAITING", change) for change in github.changes]


def page(github, release):
    return github.release_json(release)["html_url"]


def checksums(github, tag="1.0.0"):
    return json.loads(github.content(tag, "checksum.json"))


@contextmanager
def refused(*named, **fields):
    """A `ReleaseError` in one line, as `raises` has it; the token is in none of its fields, nor in its traceback."""
    with raises(ReleaseError, *named, **fields) as raised:
        yield raised
    error = raised.value
    assert "\n" not in str(error)
    assert TOKEN not in "".join([repr(vars(error)), *traceback.format_exception(error)])


# A release that is made


def test_a_new_release_is_a_draft_until_all_is_there_and_its_checksums_come_last(github, upload, write_folder):
    page = upload(write_folder(mine=MINE, other=b"other"))
    assert changes(github) == [
        "create draft 1.0.0",
        "upload mine.tar.gz",
        "upload other.tar.gz",
        *LISTED,
        "publish 1.0.0",
    ]
    assert page == f"{github.url}/owner/name/releases/tag/1.0.0"
    assert github.content("1.0.0", "mine.tar.gz") == MINE
    assert checksums(github) == {"mine": sha256(MINE), "other": sha256(b"other")}
    release = github.release("1.0.0")
    assert (release.name, release.body, release.prerelease) == ("1.0.0", "Notes.", False)


@pytest.mark.parametrize("tag", ["1.0.0-rc.1", "v1.0.0-rc.1"])
def test_a_pre_release_is_marked_as_one(github, upload, folder, tag):
    upload(folder, tag=tag)
    assert github.release(tag).prerelease


def test_a_release_can_be_downloaded_by_its_tag_and_as_the_latest(github, upload, folder):
    upload(folder)
    for path in ("download/1.0.0", "latest/download"):
        url = f"{github.url}/owner/name/releases/{path}/mine.tar.gz"
        assert httpx.get(url, follow_redirects=True).content == MINE


def test_the_progress_of_every_file_is_told(upload, folder):
    told = []
    upload(folder, on_progress=lambda *progress: told.append(progress))
    assert told[:3] == [("mine.tar.gz", done << 20, BIG) for done in (1, 2, 3)]
    assert WAITING.fullmatch(told[3][0])


def test_a_large_file_is_never_in_memory(github, upload, tmp_path):
    large = tmp_path / "1.0.0" / "large.tar.gz"
    large.parent.mkdir()
    with large.open("wb") as file:
        file.truncate(64 << 20)
    (large.parent / "checksum.json").write_text(json.dumps({"large": sha256(bytes(64 << 20))}))
    tracemalloc.start()
    try:
        upload(large.parent)
        github.gives_digests = False
        upload(large.parent)  # downloads it, to compare
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "large.tar.gz" in github.downloaded
    assert peak < 16 << 20


# A release that is there


@pytest.mark.parametrize("gives_digests", [True, False])
def test_where_all_is_there_nothing_is_changed(github, upload, folder, gives_digests):
    first = upload(folder)
    github.changes.clear()
    github.gives_digests = gives_digests
    assert upload(folder) == first
    assert changes(github) == []
    assert ("mine.tar.gz" in github.downloaded) is not gives_digests


def test_models_of_several_folders_come_together_in_one_release(github, upload, write_folder):
    upload(write_folder("a", mine=MINE))
    github.changes.clear()
    upload(write_folder("b", other=b"other"), notes="Other notes.")
    assert checksums(github) == {"mine": sha256(MINE), "other": sha256(b"other")}
    # The old list stays until the new one is there whole.
    assert changes(github) == [
        "upload other.tar.gz",
        "upload WAITING",
        "delete checksum.json",
        "rename WAITING checksum.json",
    ]
    assert github.release("1.0.0").body == "Notes."


def test_models_that_are_uploaded_at_the_same_time_come_together_in_one_release(github, write_folder):
    folders = [write_folder(name, **{name: name.encode()}) for name in ("a", "b", "c", "d")]

    def upload(folder):
        quick = replace(RETRIES, tries=20, pause_s=0.01, longest_pause_s=1, timeout_s=10)
        return upload_release(folder, tag="1.0.0", repository=github.repository, notes="", retries=quick)

    with ThreadPoolExecutor(len(folders)) as pool:
        pages = set(pool.map(upload, folders))
    assert pages == {f"{github.url}/owner/name/releases/tag/1.0.0"}
    assert checksums(github) == {name: sha256(name.encode()) for name in "abcd"}
    assert sorted(asset.name for asset in github.release("1.0.0").assets) == [
        "a.tar.gz",
        "b.tar.gz",
        "c.tar.gz",
        "checksum.json",
        "d.tar.gz",
    ]


def test_a_draft_that_was_left_behind_is_completed_though_many_releases_are_listed_before_it(github, upload, folder):
    github.add_asset(github.add_release("1.0.0", draft=True), "mine.tar.gz", MINE)
    github.per_page = 2
    for number in range(7):
        github.add_release(f"0.{number}.0")
    upload(folder)
    assert changes(github) == [*LISTED, "publish 1.0.0"]


def test_a_published_release_goes_before_a_draft_of_the_same_tag(github, upload, folder):
    draft, published = github.add_release("1.0.0", draft=True), github.add_release("1.0.0")
    upload(folder)
    assert draft.assets == []
    assert [asset.name for asset in published.assets] == ["mine.tar.gz", "checksum.json"]


def test_of_two_drafts_that_are_made_at_once_the_older_is_gone_on_with(github, upload, folder):
    older = github.add_release("1.0.0", draft=True)
    github.fail("GET", "/releases[?]", 200, b"[]")
    upload(folder)
    assert changes(github)[:2] == ["create draft 1.0.0", "delete draft 1.0.0"]
    assert github.releases == [older]
    assert not older.draft


def test_a_draft_that_is_listed_late_is_not_made_twice(github, upload, folder):
    github.fail("GET", "/releases[?]", 200, b"[]", times=4)
    github.fail("POST", "name=mine", 502, times=2)
    upload(folder)
    assert changes(github) == CHANGES


def test_a_published_release_gets_what_it_lacks(github, upload, folder):
    github.add_asset(github.add_release("1.0.0"), "notes.pdf", b"by hand")
    upload(folder)
    assert changes(github) == ["upload mine.tar.gz", *LISTED]
    assert github.content("1.0.0", "notes.pdf") == b"by hand"


@pytest.mark.parametrize(("there", "state"), [(MINE[:1000], "starter"), (MINE[:1000], "uploaded"), (b"", "uploaded")])
@pytest.mark.parametrize("gives_digests", [True, False])
def test_half_an_upload_is_deleted_and_made_anew(github, upload, folder, there, state, gives_digests):
    github.gives_digests = gives_digests
    github.add_asset(github.add_release("1.0.0", draft=True), "mine.tar.gz", there, state)
    upload(folder)
    assert changes(github)[:2] == ["delete mine.tar.gz", "upload mine.tar.gz"]
    assert github.content("1.0.0", "mine.tar.gz") == MINE


@pytest.mark.parametrize("draft", [True, False])
@pytest.mark.parametrize("there", [MINE[::-1], MINE + b"more", b"shorter, and not the beginning"])
@pytest.mark.parametrize("gives_digests", [True, False])
def test_another_content_is_never_overwritten(github, upload, write_folder, draft, there, gives_digests):
    github.gives_digests = gives_digests
    release = github.add_release("1.0.0", draft=draft)
    github.add_asset(release, "mine.tar.gz", there)
    with refused("mine.tar.gz", path=page(github, release), hint="version") as error:
        upload(write_folder(mine=MINE, also=b"also"))
    assert ("draft" in error.value.hint) is draft
    assert changes(github) == []


def test_a_model_that_is_listed_with_another_checksum_is_refused(github, upload, folder):
    content = json.dumps({"mine": "0" * 64}).encode()
    release = github.add_release("1.0.0")
    github.add_asset(release, "checksum.json", content)
    with refused("checksum.json", "mine (000000000000…)", path=page(github, release), hint="version"):
        upload(folder)
    assert changes(github) == []


def test_a_list_of_checksums_that_is_none_is_named(github, upload, folder):
    github.add_asset(github.add_release("1.0.0"), "checksum.json", b"<html>")
    with refused(path=f"{github.url}/owner/name/releases/download/1.0.0/checksum.json", hint="page"):
        upload(folder)
    assert changes(github) == []


@pytest.mark.parametrize("waiting", ["mine", "third"])
@pytest.mark.parametrize("step", ["uploaded", "old one deleted"])
def test_an_exchange_of_the_checksums_that_broke_off_is_brought_to_its_end(github, upload, folder, step, waiting):
    old = {"first": "1" * 64}
    new = {"first": "1" * 64, waiting: sha256(MINE) if waiting == "mine" else "3" * 64}
    release = github.add_release("1.0.0")
    if step != "old one deleted":
        github.add_asset(release, "checksum.json", json.dumps(old).encode())
    github.add_asset(release, "checksum.0123456789ab.json", json.dumps(new).encode())
    upload(folder)
    assert checksums(github) == old | new | {"mine": sha256(MINE)}
    assert sorted(asset.name for asset in release.assets) == ["checksum.json", "mine.tar.gz"]


@pytest.mark.parametrize("first", ["checksum.json", "checksum.0123456789ab.json"])
def test_of_lists_that_contradict_each_other_the_one_in_place_is_right(github, upload, folder, first):
    release = github.add_release("1.0.0")
    there = {"checksum.json": "1" * 64, "checksum.0123456789ab.json": "2" * 64}
    for name in sorted(there, key=lambda name: name != first):
        github.add_asset(release, name, json.dumps({"first": there[name]}).encode())
    upload(folder)
    assert checksums(github) == {"first": "1" * 64, "mine": sha256(MINE)}


def test_a_list_of_checksums_is_never_deleted_before_another_says_the_same(github, upload, folder):
    release = github.add_release("1.0.0")
    github.add_asset(release, "checksum.json", json.dumps({"first": "1" * 64}).encode())
    github.add_asset(release, "checksum.0123456789ab.json", json.dumps({"third": "3" * 64}).encode())
    github.fail("POST", "name=checksum", 502, times=99)
    with refused("HTTP 502"):
        upload(folder)
    assert changes(github) == ["upload mine.tar.gz"]


def test_a_file_with_a_name_like_that_of_a_list_is_left_alone(github, upload, folder):
    release = github.add_release("1.0.0")
    github.add_asset(release, "checksum.txt", b"by hand")
    upload(folder)
    assert github.content("1.0.0", "checksum.txt") == b"by hand"


@pytest.mark.parametrize("own", [True, False])
def test_half_a_list_of_checksums_is_only_replaced_by_the_same(github, upload, folder, own):
    upload(folder)
    (released,) = (asset for asset in github.release("1.0.0").assets if asset.name == "checksum.json")
    name = f"checksum.{released.sha256[:12] if own else '0123456789ab'}.json"
    release = github.add_release("1.0.1", draft=True)
    half = github.add_asset(release, name, b"{", "starter")
    upload(folder, tag="1.0.1")
    assert checksums(github, "1.0.1") == {"mine": sha256(MINE)}
    assert (half in release.assets) is not own


def test_a_list_of_checksums_that_waits_in_vain_is_deleted(github, upload, folder):
    upload(folder)
    release = github.release("1.0.0")
    github.add_asset(release, "checksum.0123456789ab.json", github.content("1.0.0", "checksum.json"))
    upload(folder)
    assert changes(github) == [*CHANGES, "delete WAITING"]


def test_half_a_list_of_checksums_in_its_place_is_made_anew(github, upload, folder):
    github.add_asset(github.add_release("1.0.0", draft=True), "checksum.json", b"", "starter")
    upload(folder)
    assert checksums(github) == {"mine": sha256(MINE)}


# Killed, and run again

UPLOAD = """
import sys
from pathlib import Path
from sepcore.release.github import upload_release
from sepcore.release.github_repository import GithubRepository
print(upload_release(Path(sys.argv[1]), tag="1.0.0", repository=GithubRepository.from_environment(), notes="Notes."))
"""


def test_a_process_that_is_killed_while_it_uploads_leaves_a_draft_that_the_next_one_completes(github, write_folder):
    # More than the connection's buffers take.
    folder = write_folder(mine=MINE * 8)
    command = [sys.executable, "-c", UPLOAD, str(folder)]
    environment = {**os.environ, **github.environment}
    github.hold_upload(after=1 << 20)
    with subprocess.Popen(command, env=environment) as process:
        assert github.upload_held.wait(60)
        process.send_signal(signal.SIGKILL)
    github.resume()
    assert process.returncode == -signal.SIGKILL
    release = github.release("1.0.0")
    assert release.draft
    assert release.asset("mine.tar.gz").state == "starter"
    url = f"{github.url}/owner/name/releases/download/1.0.0/mine.tar.gz"
    assert httpx.get(url).status_code == 404

    page = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()
    assert page == f"{github.url}/owner/name/releases/tag/1.0.0"
    assert changes(github) == [
        "create draft 1.0.0",
        "delete mine.tar.gz",
        "upload mine.tar.gz",
        *LISTED,
        "publish 1.0.0",
    ]
    assert github.content("1.0.0", "mine.tar.gz") == MINE * 8


# What GitHub answers when it fails


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/releases[?]"),
        ("POST", "/releases$"),
        ("GET", r"/releases/\d+/assets"),
        ("POST", "name=mine.tar.gz"),
        ("POST", "name=checksum"),
        ("PATCH", "/releases/"),
    ],
)
@pytest.mark.parametrize("status", [0, 502])
def test_a_request_that_fails_is_made_again(github, upload, folder, waits, method, path, status):
    github.fail(method, path, status, times=2)
    upload(folder)
    assert waits == [1, 2]
    assert changes(github) == CHANGES


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/releases$"), ("POST", "name=mine.tar.gz"), ("POST", "name=checksum"), ("PATCH", "/releases/")],
)
@pytest.mark.parametrize("status", [0, 502])
def test_a_change_whose_answer_is_lost_is_not_made_twice(github, upload, folder, waits, method, path, status):
    github.fail(method, path, status, after=True)
    upload(folder)
    assert waits == [1]
    assert changes(github) == CHANGES


def test_a_connection_that_breaks_in_the_middle_of_an_upload_is_made_good(github, upload, folder, waits):
    github.break_upload(after=1 << 20, times=3)
    upload(folder)
    assert waits == [1, 2, 4]
    assert github.content("1.0.0", "mine.tar.gz") == MINE
    assert github.changes.count("delete mine.tar.gz") == 3


def test_a_file_that_arrives_otherwise_than_it_was_sent_is_sent_again(github, upload, folder, waits):
    release = github.add_release("1.0.0", draft=True)
    url = f"{github.url}/api/v3/repos/owner/name/releases/assets/{release.id + 1}"
    arrived = {"id": release.id + 1, "url": url, "name": "mine.tar.gz", "state": "uploaded", "size": 5}
    github.fail("POST", "name=mine", 201, arrived, after=True)
    upload(folder)
    assert waits == [1]
    assert changes(github)[:3] == ["upload mine.tar.gz", "delete mine.tar.gz", "upload mine.tar.gz"]


def test_attempts_are_counted_anew_where_something_was_brought_there(github, upload, write_folder, waits):
    github.fail("POST", "name=a.tar.gz", 502, times=4)
    github.fail("POST", "name=b.tar.gz", 502, times=4)
    upload(write_folder(a=b"a", b=b"b"))
    assert waits == [1, 2, 4, 8] * 2


def test_a_failure_that_stays_is_one_line_and_the_draft_stays_too(github, upload, folder, waits):
    github.fail("POST", "name=checksum", 502, b"<html>", times=99)
    with refused() as error:
        upload(folder)
    assert str(error.value) == (
        f"{github.url}/owner/name: GitHub could not be reached or failed several times in a row (HTTP 502). "
        "Completed uploads were kept. Run the same command again."
    )
    assert waits == [1, 2, 4, 8]
    assert github.release("1.0.0").draft
    github.faults.clear()
    github.changes.clear()
    upload(folder)
    assert changes(github) == [*LISTED, "publish 1.0.0"]


def test_a_host_that_is_not_there_is_one_line(folder, upload):
    with GithubServer() as gone:
        pass
    with refused("Connection refused", path=gone.repository.page):
        upload(folder, repository=gone.repository)


def test_a_host_that_falls_silent_is_not_waited_for(github, folder):
    github.hold_upload(after=1 << 20)
    with refused("timed out", path=github.repository.page):
        upload_release(
            folder,
            tag="1.0.0",
            repository=github.repository,
            notes="",
            retries=replace(RETRIES, tries=1, timeout_s=1),
        )


def test_a_host_that_is_no_github_is_one_line(github, upload, folder, waits):
    github.fail("GET", "/api/v3", 200, b"<html>Welcome", times=99)
    with refused("GitHub's API", path=f"{github.url}/api/v3", hint="GITHUB_HOST"):
        upload(folder)
    assert waits == []


def test_a_token_that_is_refused_is_one_line(github, upload, folder, waits):
    other = GithubRepository(github.url, "owner/name", "ghp_other")
    with refused("GITHUB_TOKEN", "(HTTP 401 Bad credentials)", path=other.page, hint="GITHUB_TOKEN") as error:
        upload(folder, repository=other)
    assert "owner/name" in error.value.hint
    assert "ghp_other" not in str(error.value)
    assert waits == []


@pytest.mark.parametrize("status", [403, 404])
def test_a_token_without_the_right_to_write_is_one_line(github, upload, folder, waits, status):
    github.fail("POST", "/releases", status, {"message": "Resource not accessible by personal access token"})
    reason = f"(HTTP {status} Resource not accessible by personal access token)"
    with refused("GITHUB_TOKEN", reason, path=f"{github.url}/owner/name", hint="GITHUB_TOKEN") as error:
        upload(folder)
    assert "owner/name" in error.value.hint
    assert waits == []


def test_a_repository_that_is_not_there_is_one_line(github, upload, folder):
    with refused("HTTP 404", path=f"{github.url}/owner/none", hint="GITHUB_REPOSITORY"):
        upload(folder, repository=GithubRepository(github.url, "owner/none", TOKEN))


def test_a_token_that_a_server_sends_back_is_in_no_message(github, upload, folder):
    github.fail("POST", "/releases", 403, {"message": f"{TOKEN} may not"})
    with refused("… may not"):
        upload(folder)
    assert TOKEN not in repr(github.repository)


@pytest.mark.parametrize("num_before", range(180, 200, 3))
def test_a_long_reason_is_cut_in_no_token(github, upload, folder, num_before):
    github.fail("POST", "/releases", 403, {"message": "x" * num_before + TOKEN})
    with refused("x" * 180) as error:
        upload(folder)
    assert TOKEN[:2] not in error.value.problem
    assert len(error.value.problem) < 300


def test_a_token_that_a_server_sends_back_is_in_no_log(github, upload, folder, caplog):
    github.fail("POST", "/releases$", 502, {"message": f"{TOKEN} may not yet"})
    with caplog.at_level(logging.INFO, "sepcore"):
        upload(folder)
    assert "… may not yet" in caplog.text
    assert TOKEN not in caplog.text


def test_what_github_refuses_is_told_with_its_reason(github, upload, folder, waits):
    body = {"message": "Validation Failed", "errors": [{"message": "Cannot upload assets to an immutable release."}]}
    github.fail("POST", "name=mine", 422, body)
    with refused("(HTTP 422 Validation Failed: Cannot upload assets to an immutable release.)", hint="version"):
        upload(folder)
    assert waits == []


@pytest.mark.parametrize(
    ("status", "headers", "message", "wait"),
    [
        (403, {"Retry-After": "30"}, "You have exceeded a secondary rate limit", 30),
        (429, {"Retry-After": "30"}, "Too many requests", 30),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "+40"}, "API rate limit exceeded", 41),
        (403, {}, "You have exceeded a secondary rate limit", 60),
        (429, {}, "Too many requests", 60),
        (503, {"Retry-After": "7"}, "Busy", 7),
    ],
)
def test_a_short_limit_of_the_rate_is_waited_for(github, upload, folder, waits, status, headers, message, wait):
    headers = {key: value.replace("+40", str(int(time.time()) + 40)) for key, value in headers.items()}
    github.fail("POST", "name=mine", status, {"message": message}, headers=headers)
    upload(folder)
    (waited,) = waits
    # The clock goes on between the header, which names a moment, and its answer.
    assert wait - 20 < waited < wait + 1.5 if "X-RateLimit-Reset" in headers else waited == pytest.approx(wait, abs=1.5)
    assert not github.release("1.0.0").draft


@pytest.mark.parametrize("header", ["Retry-After", "X-RateLimit-Reset"])
def test_a_long_limit_of_the_rate_is_one_line_with_the_time(github, upload, folder, waits, header):
    end = int(time.time()) + 3600
    headers = {"X-RateLimit-Remaining": "0", header: "3600" if header == "Retry-After" else str(end)}
    github.fail("POST", "name=mine", 403, {"message": "API rate limit exceeded"}, headers=headers)
    with refused("(HTTP 403 API rate limit exceeded)", path=github.repository.page) as error:
        upload(folder)
    told = re.search(r"\d\d:\d\d:\d\d", error.value.hint)[0]
    near = [time.strftime("%H:%M:%S", time.localtime(end + late)) for late in range(-1, 5)]
    assert told in near
    assert waits == []


def test_a_tag_that_somebody_else_publishes_meanwhile_is_completed(github, upload, folder, waits):
    github.fail("GET", "/releases[?]", 200, b"[]")
    github.add_release("1.0.0")
    upload(folder)
    assert changes(github) == ["upload mine.tar.gz", *LISTED]
    assert waits == [1]


@pytest.mark.parametrize(("there", "ends"), [(MINE, "well"), (MINE[::-1], "refused")])
def test_a_file_that_somebody_else_uploads_meanwhile_is_compared(github, upload, folder, there, ends):
    release = github.add_release("1.0.0")
    github.fail("GET", rf"/releases/{release.id}/assets", 200, b"[]")
    github.add_asset(release, "mine.tar.gz", there)
    if ends == "well":
        upload(folder)
        assert changes(github) == LISTED
    else:
        with refused("mine.tar.gz", path=page(github, release), hint="version"):
            upload(folder)
        assert changes(github) == []


def test_a_file_that_somebody_else_deletes_meanwhile_is_brought_again(github, upload, folder, waits):
    release = github.add_release("1.0.0", draft=True)
    github.add_asset(release, "mine.tar.gz", MINE[:10], "starter")
    github.fail("DELETE", "/assets/", 404, {"message": "Not Found"}, after=True)
    upload(folder)
    assert waits == [1]
    assert github.content("1.0.0", "mine.tar.gz") == MINE


def test_a_pause_is_logged_with_its_reason(github, upload, folder, caplog):
    github.fail("POST", "/releases$", 502)
    with caplog.at_level(logging.INFO, "sepcore"):
        upload(folder)
    assert f"{github.url}/owner/name: HTTP 502 made up 502; tried again in 1.0 s" in caplog.messages
    assert TOKEN not in caplog.text


# The folder, before anything is asked of GitHub


def test_a_folder_without_checksums_is_refused(upload, tmp_path):
    with refused("checksum.json", path=tmp_path):
        upload(tmp_path)


@pytest.mark.parametrize(
    ("change", "file", "named"),
    [
        (lambda folder: (folder / "mine.tar.gz").unlink(), "", ["lists mine.tar.gz"]),
        (lambda folder: (folder / "new.tar.gz").write_bytes(b""), "", ["not list new.tar.gz"]),
        (
            lambda folder: (folder / "mine.tar.gz").write_bytes(b"x"),
            "mine.tar.gz",
            ["2d711642b726…", "checksum.json", f"{sha256(MINE)[:12]}…"],
        ),
        (lambda folder: (folder / "checksum.json").write_text("[]"), "checksum.json", []),
        (lambda folder: (folder / "checksum.json").write_text("{}"), "", ["not list mine.tar.gz"]),
    ],
)
def test_a_folder_that_is_not_what_its_checksums_say_is_refused(github, upload, folder, change, file, named):
    change(folder)
    with refused(*named, path=folder / file, hint="Publish"):
        upload(folder)
    assert github.requests == []


def test_a_release_of_nothing_is_refused(upload, write_folder):
    folder = write_folder()
    with refused("checksum.json", "any model", path=folder):
        upload(folder)


def test_a_name_that_github_would_change_is_refused(github, upload, write_folder):
    folder = write_folder(übung=b"")
    with refused("'übung'", path=folder, hint="--name"):
        upload(folder)
    assert github.requests == []


def test_a_temporary_file_of_a_publishing_process_is_none_of_the_release(github, upload, folder):
    (folder / ".tmp-1.00000000-00000000.tar.gz").write_bytes(b"half")
    upload(folder)
    assert "upload mine.tar.gz" in github.changes


# Which repository


@pytest.fixture
def environment(monkeypatch):
    for name in ("HOST", "SERVER_URL", "API_URL"):
        monkeypatch.delenv(f"GITHUB_{name}", raising=False)
    monkeypatch.setenv("GITHUB_REPOSITORY", "owner/name")
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)

    def change(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(f"GITHUB_{name}", value)

    return change


@pytest.mark.parametrize(
    ("variables", "api", "page"),
    [
        ({}, "https://api.github.com", "https://github.com/owner/name"),
        ({"HOST": "https://github.com/"}, "https://api.github.com", "https://github.com/owner/name"),
        ({"HOST": "https://git.firm.org"}, "https://git.firm.org/api/v3", "https://git.firm.org/owner/name"),
        ({"HOST": "https://firm.ghe.com"}, "https://api.firm.ghe.com", "https://firm.ghe.com/owner/name"),
        ({"HOST": "http://127.0.0.1:81"}, "http://127.0.0.1:81/api/v3", "http://127.0.0.1:81/owner/name"),
        ({"API_URL": "https://api.firm.org/"}, "https://api.firm.org", "https://github.com/owner/name"),
    ],
)
def test_the_api_is_found_by_the_host(environment, variables, api, page):
    environment(**variables)
    repository = GithubRepository.from_environment()
    assert (repository.api_url, repository.page) == (api, page)


def test_github_actions_own_server_and_api_are_the_default(environment):
    environment(SERVER_URL="https://git.firm.org", API_URL="https://git.firm.org/api/v3")
    repository = GithubRepository.from_environment()
    assert (repository.host, repository.api_url) == ("https://git.firm.org", "https://git.firm.org/api/v3")


def test_the_token_of_another_host_is_not_sent_to_the_api_that_github_actions_sets(environment):
    environment(SERVER_URL="https://github.com", API_URL="https://api.github.com", HOST="https://git.firm.org")
    assert GithubRepository.from_environment().api_url == "https://git.firm.org/api/v3"


@pytest.mark.parametrize(
    ("variables", "named", "hint"),
    [
        ({"REPOSITORY": ""}, ["GITHUB_REPOSITORY is not set"], "owner/name"),
        ({"REPOSITORY": "name"}, ["GITHUB_REPOSITORY is name"], "owner/name"),
        ({"REPOSITORY": "https://github.com/owner/name"}, ["GITHUB_REPOSITORY is https://github.com/o"], "owner/name"),
        ({"TOKEN": ""}, ["GITHUB_TOKEN is not set"], "owner/name"),
        ({"TOKEN": "ghp secret\nmore"}, ["GITHUB_TOKEN is not a token"], "owner/name"),
        ({"HOST": "file:///mirror"}, ["GITHUB_HOST is file:///mirror"], "https://github.com"),
        ({"HOST": "/mirror"}, ["GITHUB_HOST is /mirror"], "https://github.com"),
        ({"HOST": "github.com"}, ["GITHUB_HOST is github.com"], "https://github.com"),
        ({"HOST": "https://me:hunter2@github.com"}, ["GITHUB_HOST", "password"], "GITHUB_TOKEN"),
        ({"API_URL": "api.github.com"}, ["GITHUB_API_URL is api.github.com"], "https://github.com"),
        ({"HOST": "http://github.com"}, ["GITHUB_HOST is http://github.com", "GITHUB_TOKEN"], "https"),
        ({"HOST": "http://127.0.0.1.firm.org"}, ["GITHUB_HOST is http://127.0.0.1.firm", "GITHUB_TOKEN"], "https"),
        ({"API_URL": "http://api.github.com"}, ["GITHUB_API_URL is http://api.github.com", "GITHUB_TOKEN"], "https"),
    ],
)
def test_an_environment_that_leads_nowhere_is_one_line(environment, variables, named, hint):
    environment(**variables)
    with raises(ReleaseError, *named, hint=hint) as error:
        GithubRepository.from_environment()
    line = str(error.value)
    assert "\n" not in line
    assert "hunter2" not in line
    assert "ghp" not in line


def test_a_token_from_a_file_may_end_with_a_newline(environment):
    environment(TOKEN=f"{TOKEN}\n")
    assert GithubRepository.from_environment().token == TOKEN


# What is looked at beforehand


def test_what_a_release_would_refuse_is_refused_while_nothing_is_published_yet(github, write_folder, waits, tmp_path):
    folder = write_folder(mine=MINE)
    (tmp_path / ".tmp").write_bytes(b"new")
    staged = {"new": VerifiedArchive(tmp_path / ".tmp", sha256(b"new"), "new.tar.gz")}

    def check(folder=folder):
        check_upload(folder, staged, tag="1.0.0", repository=github.repository, retries=retries(waits))

    check()
    check(tmp_path / "no such folder yet")
    release = github.add_release("1.0.0")
    github.add_asset(release, "mine.tar.gz", MINE[: BIG // 2], state="starter")
    check()
    other = github.add_asset(release, "new.tar.gz", b"other")
    with refused("new.tar.gz", path=page(github, release), hint="version"):
        check()
    release.assets.remove(other)
    (folder / "mine.tar.gz").write_bytes(b"damaged")
    with refused(sha256(b"damaged")[:12], sha256(MINE)[:12], path=folder / "mine.tar.gz"):
        check()
    assert github.changes == []


# Where the token goes


@pytest.mark.parametrize(
    ("host", "address", "may_go"),
    [
        ("https://github.com", "https://api.github.com/repos/me/name", True),
        ("https://github.com", "https://uploads.github.com/repos/me/name/releases/1/assets", True),
        ("https://github.com", "http://uploads.github.com/repos", False),
        ("https://github.com", "http://api.github.com/repos", False),
        ("https://github.com", "https://evilgithub.com/", False),
        ("https://github.com", "https://github.com.evil.org/", False),
        ("https://github.com", "https://github.com@evil.org/", False),
        ("https://github.com", "http://127.0.0.1:81/", False),
        ("https://github.com", "file:///etc/passwd", False),
        ("https://git.firm.org", "https://git.firm.org/api/uploads/repos", True),
        ("https://git.firm.org", "https://firm.org/", False),
        ("https://git.firm.org", "https://uploads.github.com/", False),
        ("https://api.co.uk", "https://evil.co.uk/", False),
        ("https://firm.ghe.com", "https://uploads.firm.ghe.com/", True),
        ("https://firm.ghe.com", "https://uploads.others.ghe.com/", False),
        ("http://localhost:81", "http://localhost:82/", True),
        ("http://[::1]:81", "http://[::1]:82/", True),
        ("http://127.0.0.1:81", "http://127.0.0.2:82/", False),
    ],
)
def test_the_token_goes_by_https_to_the_apis_own_domain_or_stays_on_this_machine(host, address, may_go):
    repository = GithubRepository(host, "me/name", TOKEN)
    if may_go:
        repository.check_address(address)
        return
    asked = urlsplit(address)
    leads_to, own = f"{asked.scheme}://{asked.hostname or ''}", urlsplit(repository.host).hostname
    with refused(leads_to, "GITHUB_TOKEN", "https", own, path=repository.api_url, hint="GITHUB_HOST"):
        repository.check_address(address)


class Thief(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append(self.headers.get("Authorization"))
        self.send_response(404)
        self.end_headers()

    do_POST = do_PATCH = do_DELETE = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def thief():
    """Another host: what requests to it carried is in `seen`."""
    with HTTPServer(("127.0.0.1", 0), Thief) as server:
        server.seen, server.url = [], f"http://localhost:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("which", ["storage_url", "api_url"])
@pytest.mark.parametrize("state", ["uploaded", "starter"])
def test_the_token_goes_to_no_host_that_an_answer_names(github, upload, folder, thief, which, state):
    github.gives_digests = False  # so that files are downloaded and compared
    asset = github.add_asset(github.add_release("1.0.0"), "mine.tar.gz", b"other", state)
    setattr(github, which, thief.url)
    if which == "storage_url":
        asset.name = "unrelated.bin"
    with refused(path=github.repository.api_url, hint="GITHUB_HOST"):
        upload(folder)
    assert not thief.seen


def test_a_download_that_is_redirected_to_another_host_leaves_the_token_out(github, upload, folder, thief):
    github.gives_digests = False
    github.add_asset(github.add_release("1.0.0"), "mine.tar.gz", b"other")
    github.storage_url = thief.url
    with refused(path=github.repository.page):
        upload(folder)
    assert set(thief.seen) == {None}


@pytest.mark.parametrize("status", [302, 303])
@pytest.mark.parametrize(("method", "path"), [("POST", "/releases$"), ("PATCH", "/releases/")])
def test_a_change_that_is_redirected_to_a_page_counts_as_refused(github, upload, folder, waits, method, path, status):
    page = f"{github.repository.api_url}/repos/{github.repository.repository}/releases"
    github.fail(method, path, status, headers={"Location": page})
    with refused(method, path=github.repository.page):
        upload(folder)
    assert waits == []


def test_importing_it_does_not_import_the_libraries():
    code = (
        "import sys, sepcore.release.github; print([name for name in ('httpx', 'tensorflow') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
