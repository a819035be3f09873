"""Addresses as they are shown: without their secrets."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sepcore.errors import ConfigError
from sepcore.system.urls import shown

PASSWORDS = st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S"), exclude_characters='"<>'), min_size=6)
PLACES = ["host", "host:5000", "127.0.0.1:4200", "[::1]:80"]


@given(PASSWORDS, st.sampled_from(["http", "https", "postgresql+asyncpg", "ssh"]), st.sampled_from(PLACES))
def test_no_address_is_shown_with_its_password(password, scheme, place):
    for given_user in (f"qq:{quote(password, safe='')}", f":{quote(password, safe='')}", quote(password, safe="")):
        for text in ("{}", "the store at {}: is gone", "'{}'", "[{}]", "({}), as the log says"):
            told = text.format(f"{scheme}://{given_user}@{place}/a/b")
            assert shown(told) == text.format(f"{scheme}://{place}/a/b")


@pytest.mark.parametrize("password", ["p/w@x", "a@b", "a:b/c", "p?w", "p#w", "p'w"])
def test_a_password_that_should_have_been_escaped_is_not_shown_either(password):
    assert shown(f"no port in https://me:{password}@host/path") == "no port in https://host/path"


@pytest.mark.parametrize("name", ["token", "X-Amz-Signature", "sig", "password", "whatever"])
@pytest.mark.parametrize("mark", "?#")
def test_no_value_of_a_query_is_shown(name, mark):
    assert shown(f"(https://host/a{mark}x=1&{name}=abc-123), b") == f"(https://host/a{mark}x=***&{name}=***), b"
    assert shown("see https://host/a?0123456789abcdef.") == "see https://host/a?***."


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:5000/#/experiments/1/runs/0123456789abcdef0123456789abcdef",
        "sqlite:////home/me@work/mlflow.db",
        "https://github.com/owner/name/releases/download/v1.4.0/2stems.tar.gz",
        "file:///models/a@b",
        "write to me@example.org: songs/a@2x.wav",
        "http://host:80/a@b",
    ],
)
def test_what_is_no_secret_stays(text):
    assert shown(text) == text


def test_secrets_of_the_environment_are_shown_nowhere(monkeypatch, tmp_path):
    key = tmp_path / "license.pem"
    key.touch()
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_0123456789")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:pass%2Fword@host")
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "stemworks:0123456789abcdef")
    monkeypatch.setenv("LICENSE_KEY", str(key))
    told = f"ghp_0123456789 pass%2Fword@host pass/word stemworks:0123456789abcdef 0123456789abcdef {key}"
    assert shown(told) == f"*** ***@host *** *** *** {key}"


VARIABLES = [
    "GITHUB_TOKEN",
    "GITHUB_PAT",
    "PGPASSWORD",
    "AWS_SECRET_ACCESS_KEY",
    "AZURE_STORAGE_CONNECTION_STRING",
    "PREFECT_CLIENT_CUSTOM_HEADERS",
]


@given(st.sampled_from(VARIABLES), st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), min_size=6))
def test_no_form_of_a_secret_is_shown(name, secret):
    for value in (secret, f"{secret}\n", f"/{secret}"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(name, value)
            for told in (value, value.strip(), repr(value), repr(f"Bearer {value}".encode())):
                assert secret not in shown(f"refused: {told}")


def test_an_error_keeps_no_password():
    address = "https://me:password@host"
    error = ConfigError(f"{address} cannot be used", path=address, hint=f"Open {address} in a browser.")
    assert str(error) == "https://host: https://host cannot be used. Open https://host in a browser."
    assert "password" not in f"{error.args} {vars(error)}"
