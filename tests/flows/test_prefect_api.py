"""Prefect's settings, read without Prefect: what it reads itself is the oracle."""

import os
import subprocess
import sys

import pytest
from prefect.settings import Settings

from flows.support.prefect_api import causes, configured_prefect_api, prefect_home, prefect_setting, raise_without_api
from sepcore.errors import GateRefused
from tests.repository import ROOT

PROFILES = 'active = "a"\n[profiles.a]\nPREFECT_API_URL = "http://profile/api"\n[profiles.b]\n'
# What each source says, lowest first, and how another one may be named there.
SOURCES = {
    "profile": ("home/profiles.toml", PROFILES),
    "pyproject": ("pyproject.toml", '[tool.prefect.api]\nurl = "http://pyproject/api"\n'),
    "prefect.toml": ("prefect.toml", '[api]\nurl = "http://toml/api"\n'),
    ".env": (".env", "PREFECT_API_URL=http://dotenv/api\n"),
}
VARIANTS = {
    "nothing": {},
    "a lower-case .env that refers to a variable": {".env": "export prefect_api_url='http://${NAME}/api' # why\n"},
    "an empty .env setting over a profile": {".env": "PREFECT_API_URL=\n", "home/profiles.toml": PROFILES},
    "a bare name in .env": {".env": "PREFECT_API_URL\n", "home/profiles.toml": PROFILES},
    "another active profile": {"home/profiles.toml": PROFILES.replace('"a"', '"b"')},
    "an unknown active profile": {"home/profiles.toml": PROFILES.replace('"a"', '"c"')},
    "profiles where .env says": {".env": "PREFECT_PROFILES_PATH=mine.toml\n", "mine.toml": PROFILES},
    "profiles where prefect.toml says": {"prefect.toml": 'profiles_path = "mine.toml"\n', "mine.toml": PROFILES},
    "profiles where .env says in lower case": {".env": "prefect_profiles_path=mine.toml\n", "mine.toml": PROFILES},
    "a table instead of an address": {"prefect.toml": "[api.url]\na = 1\n", "home/profiles.toml": PROFILES},
}


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    for name in ("PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH", "PREFECT_TESTING_TEST_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NAME", "named")
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_sources_are_read_in_prefects_order(here, monkeypatch):
    for file, content in SOURCES.values():
        (here / file).write_text(content)
        assert configured_prefect_api() == Settings().api.url is not None
    for name in ("prefect_api_url", "PREFECT_API_URL"):
        monkeypatch.setenv(name, f"http://{name}/api")
        assert configured_prefect_api() == Settings().api.url == f"http://{name}/api"


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_prefect_finds_is_found(variant, here):
    for file, content in VARIANTS[variant].items():
        (here / file).write_text(content)
    settings = Settings()
    assert configured_prefect_api() == (settings.api.url or None)
    assert prefect_home() == settings.home


def test_an_empty_variable_takes_an_address_back(here, monkeypatch):
    (here / ".env").write_text(SOURCES[".env"][1])
    monkeypatch.setenv("PREFECT_API_URL", "")
    assert configured_prefect_api() == (Settings().api.url or None) is None


def test_an_empty_variable_leaves_the_place_of_profiles_to_the_next_source(here, monkeypatch):
    monkeypatch.setenv("PREFECT_PROFILES_PATH", "")
    (here / ".env").write_text("PREFECT_PROFILES_PATH=mine.toml\n")
    (here / "mine.toml").write_text(PROFILES)
    assert configured_prefect_api() == Settings().api.url == "http://profile/api"


def test_every_cause_of_an_error_is_found_once_however_they_are_tied():
    first, second, third = (ValueError(str(number)) for number in range(3))
    first.__cause__, first.__context__ = second, third
    third.__context__ = first
    assert list(causes(first)) == [first, second, third]


def test_what_ended_a_command_is_raised_though_prefects_api_failed_too(monkeypatch):
    refused = GateRefused("worse than the last release")
    unreachable, failed = ConnectionError("refused"), RuntimeError("All connection attempts failed")
    failed.__cause__, failed.__context__ = unreachable, refused
    with pytest.raises(GateRefused) as raised:
        raise_without_api(failed)
    assert raised.value is refused


@pytest.mark.parametrize("file", ["home/profiles.toml", "prefect.toml", "pyproject.toml", ".env"])
def test_a_broken_file_names_none(file, here):
    (here / file).write_bytes(b"not toml [\n\xff")
    assert configured_prefect_api() is None
    assert prefect_setting("api", "key") is None


def test_prefects_home_may_be_configured_too(here, monkeypatch):
    monkeypatch.delenv("PREFECT_HOME")
    (here / "prefect.toml").write_text('home = "~/elsewhere"\n')
    assert prefect_home() == Settings().home


def test_a_user_without_a_home_has_no_profile_and_no_traceback(tmp_path):
    # No such user, and no HOME: as in a container that is started with --user.
    code = "import os; from flows.support.prefect_api import configured_prefect_api as f; os.setuid(54321); print(f())"
    if os.getuid() != 0:
        pytest.skip("only root can become a user that the system does not know")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("None\n", "")
