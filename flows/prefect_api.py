"""Whether a Prefect API is configured, found out without importing Prefect, which takes seconds."""

import os
import tomllib
from pathlib import Path


def prefect_api_configured() -> bool:
    """Whether ``PREFECT_API_URL``, a settings file here or the active profile names a server."""
    return configured_prefect_api() is not None


def configured_prefect_api() -> str | None:
    """The address that they name, if they name one."""
    if named := os.environ.get("PREFECT_API_URL"):
        return named
    here = _read(Path("prefect.toml")).get("api", {}).get("url")
    project = _read(Path("pyproject.toml")).get("tool", {}).get("prefect", {}).get("api", {}).get("url")
    home = Path(os.environ.get("PREFECT_HOME") or Path.home() / ".prefect")
    profiles = _read(Path(os.environ.get("PREFECT_PROFILES_PATH") or home / "profiles.toml"))
    active = os.environ.get("PREFECT_PROFILE") or profiles.get("active")
    profile = profiles.get("profiles", {}).get(active, {})
    return here or project or profile.get("PREFECT_API_URL") or None


def _read(path: Path) -> dict:  # type: ignore[type-arg]
    """A TOML file's content; nothing if it is missing or broken, of which Prefect itself will tell."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
