import pytest

from sepcore.errors import ProviderError
from sepcore.provider.host import Release
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
