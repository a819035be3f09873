import pytest

from flows.prefect_api import prefect_api_configured
from flows.prefect_server import without_heartbeats


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    for name in ("PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_any_setting_there_is_none():
    assert not prefect_api_configured()


def test_the_environment_names_one(monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    assert prefect_api_configured()


def test_the_active_profile_names_one(clean):
    profiles = '[profiles.local]\nPREFECT_API_URL = "http://127.0.0.1:4200/api"\n[profiles.ephemeral]\n'
    (clean / "home" / "profiles.toml").write_text('active = "local"\n' + profiles)
    assert prefect_api_configured()
    (clean / "home" / "profiles.toml").write_text('active = "ephemeral"\n' + profiles)
    assert not prefect_api_configured()


def test_a_settings_file_here_names_one(clean):
    (clean / "pyproject.toml").write_text('[tool.prefect.api]\nurl = "http://127.0.0.1:4200/api"\n')
    assert prefect_api_configured()


def test_a_broken_file_names_none(clean):
    (clean / "home" / "profiles.toml").write_text("not toml [")
    assert not prefect_api_configured()


def test_flows_at_a_temporary_server_send_no_heartbeats_unless_they_are_asked_to(monkeypatch):
    from prefect.settings import get_current_settings

    usual = get_current_settings().flows.heartbeat_frequency
    assert usual is not None
    with without_heartbeats():
        assert get_current_settings().flows.heartbeat_frequency is None
    monkeypatch.setenv("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", "60")
    with without_heartbeats():
        assert get_current_settings().flows.heartbeat_frequency == usual
