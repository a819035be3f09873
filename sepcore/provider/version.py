"""Versions of releases: semantic ones (semver.org), whose order says which is the latest."""

from collections.abc import Iterable

from semver import Version


def parse_version(text: str) -> Version | None:
    """``1.2.0`` or ``1.2.0-rc.1`` as something that can be compared; None if it is no such version.

    Build metadata (``1.2.0+linux``) is no part of ours: it would make two releases of one version.
    """
    try:
        version = Version.parse(text)
    except ValueError:
        return None
    return version if version.build is None and str(version) == text else None


def latest_version(tags: Iterable[str]) -> str | None:
    """The tag of the highest version, with or without a ``v`` in front; pre-releases and other names do not count."""
    versions = {tag: parse_version(tag.removeprefix("v")) for tag in tags}
    released = {tag: version for tag, version in versions.items() if version and not version.prerelease}
    return max(released, key=lambda tag: released[tag], default=None)
