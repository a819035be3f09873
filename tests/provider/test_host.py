import pytest

from sepcore.errors import ProviderError
from sepcore.provider.host import Release, latest_version, parse_version
from tests.raised import raises


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
    assert Release.from_environment().places[0] == expected


def test_github_itself_has_one_layout_only(monkeypatch):
    assert len(Release.from_environment().places) == 1
    monkeypatch.setenv("GITHUB_HOST", "https://mirror")
    assert Release.from_environment().places[1:] == ["https://mirror/v1.4.0", "https://mirror"]


def test_a_host_that_is_neither_url_nor_folder_is_refused(monkeypatch):
    monkeypatch.setenv("GITHUB_HOST", "github.com")
    with raises(ProviderError, "GITHUB_HOST", "github.com", hint="http(s)"):
        _ = Release.from_environment().places


# Versions


@pytest.mark.parametrize("text", ["0.0.1", "1.2.0", "10.20.30", "1.2.0-rc.1", "1.0.0-alpha-2.b"])
def test_a_semantic_version_is_one(text):
    assert str(parse_version(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1.0",
        "v1.0.0",
        "1.0.0.0",
        "01.0.0",
        "1.0.0-",
        "1.0.0-01",
        "1.0.0+linux",
        "1.0.0\n",
        "../1.0.0",
        "١.٠.٠",
    ],
)
def test_anything_else_is_none(text):
    assert parse_version(text) is None


@pytest.mark.parametrize(
    ("tags", "latest"),
    [
        (["1.9.0", "1.10.0", "1.2.11"], "1.10.0"),
        (["v1.4.0", "1.3.9"], "v1.4.0"),
        (["1.0.0", "2.0.0-rc.1"], "1.0.0"),
        (["2.0.0-rc.1", "notes"], None),
        ([], None),
    ],
)
def test_the_latest_is_the_highest_that_is_no_prerelease(tags, latest):
    assert latest_version(tags) == latest
