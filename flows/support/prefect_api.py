"""What Prefect's settings say, found out without importing Prefect, which takes seconds."""

import os
import tomllib
from pathlib import Path
from typing import Any

from sepcore.errors import ConfigError


def prefect_api_configured() -> bool:
    """Whether any of Prefect's settings names a server."""
    return configured_prefect_api() is not None


def configured_prefect_api() -> str | None:
    """The address that they name, if they name one."""
    return prefect_setting("api", "url") or None


def prefect_home() -> Path:
    """Prefect's folder, where its database and its profiles lie; ConfigError for a user without a home."""
    home = Path(prefect_setting("home") or "~/.prefect")
    try:
        return home.expanduser()
    except RuntimeError as error:
        raise ConfigError("this user has no home", path=home, hint="Set PREFECT_HOME to a folder.") from error


def prefect_setting(*path: str) -> str | None:
    """A setting, from where Prefect takes it: the environment, ``.env``, its TOML files here, the active profile.

    Args:
        path: Its place in the TOML files, e.g. ``api``, ``url`` for ``PREFECT_API_URL``.

    Returns:
        What the first of them says, be it empty as an exported variable may be; None if none of them has it.
    """
    name = "_".join(("prefect", *path))
    sources = (
        lambda: _any_case(dict(os.environ)).get(name),
        lambda: _any_case(_dotenv()).get(name),
        lambda: _no_table(_get(_toml(Path("prefect.toml")), *path)),
        lambda: _no_table(_get(_toml(Path("pyproject.toml")), "tool", "prefect", *path)),
        lambda: _active_profile().get(name.upper()),
    )
    return next((str(value) for source in sources if (value := source()) is not None), None)


def _active_profile() -> dict[str, Any]:
    named = os.environ.get("PREFECT_PROFILES_PATH") or (
        _dotenv().get("PREFECT_PROFILES_PATH")
        or _get(_toml(Path("prefect.toml")), "profiles_path")
        or _get(_toml(Path("pyproject.toml")), "tool", "prefect", "profiles_path")
    )
    content = _toml(Path(named or f"{os.environ.get('PREFECT_HOME') or '~/.prefect'}/profiles.toml"))
    active = os.environ.get("PREFECT_PROFILE") or content.get("active")
    profile = _get(content, "profiles", active) if active else None
    return profile if isinstance(profile, dict) else {}


def _any_case(variables: dict[str, str]) -> dict[str, str]:
    return {key.lower(): value for key, value in variables.items()}


def _dotenv() -> dict[str, str]:
    path = Path(".env")
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        return {key: value for key, value in dotenv_values(path).items() if value is not None}
    except (OSError, ValueError):  # as below
        return {}


def _toml(path: Path) -> dict[str, Any]:
    """A TOML file's content; nothing if it is missing or broken, of which Prefect itself will tell."""
    try:
        return tomllib.loads(path.expanduser().read_text("utf-8"))
    except (OSError, ValueError, RuntimeError):  # the last of a user without a home
        return {}


def _get(content: object, *path: str) -> Any:
    for key in path:
        content = content.get(key) if isinstance(content, dict) else None
    return content


def _no_table(value: Any) -> Any:
    return None if isinstance(value, dict) else value
