"""Addresses: shown without their secrets, and refused where a path is expected."""

import os
import re
from pathlib import Path
from urllib.parse import unquote

# Two letters at least: "C:/" is a drive. One slash is what pathlib leaves of two.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+:/{1,2})([^\s\"<>]+)")
# User and password; an unescaped slash in a password is told from the end of a port.
_USER = re.compile(r"(?:[^/?#]*|[^/?#:@]*:(?!\d{1,5}(?:[/?#]|$)).*)@")
# Of a query or a fragment; a bare token stands where a name and its value would.
_VALUE = re.compile(r"(?<==)[^&#]+|(?<=[?&])[\w~.%+-]{8,}(?![^&#])")
_AFTER_ADDRESS = "'),.;:]}"
_HIDDEN = "***"
# Variables whose values are secrets.
_SECRET = re.compile(
    r"(?:^|_)(?:TOKEN|PAT|SECRET|AUTH_STRING|CONNECTION_STRING|CUSTOM_HEADERS|KEY|KEY_ID)$|(?:PASSWORD|PASSWD)$",
    re.IGNORECASE,
)
# What is shorter may be part of any word.
_LONG = 6

# The problem with a URL where a path is expected, and how to mend it.
NO_PATH = "is a URL, but a path is needed"
MOUNT_HINT = "Mount the store as a file system (docs/scaling.md) and give the path there."


def is_url(text: str) -> bool:
    """Whether a text is a URL such as ``s3://bucket/song.wav`` and not a path; a folder may be called ``Live:``."""
    return _URL.match(text) is not None and not Path(text.partition("/")[0]).exists()


def shown(text: object) -> str:
    """A text for people or files, without the secrets of its addresses and of the environment.

    User and password are removed from every address, and the values of its query are replaced. Libraries also cite
    parts of an address, so passwords in the environment's addresses, and the values of variables such as
    ``GITHUB_TOKEN``, are replaced anywhere.
    """
    clean = _ADDRESS.sub(_without_secrets, str(text))
    for secret in _secrets_of_environment():
        clean = clean.replace(secret, _HIDDEN)
    return clean


def _without_secrets(address: re.Match[str]) -> str:
    scheme, rest = address.groups()
    if user := _USER.match(rest):
        rest = rest[user.end() :]
    place, *query = re.split(r"(?=[?#])", rest, maxsplit=1)
    return scheme + place + "".join(_VALUE.sub(_hidden, part) for part in query)


def _hidden(value: re.Match[str]) -> str:
    end = len(value[0].rstrip(_AFTER_ADDRESS))
    return _HIDDEN + value[0][end:]


def _secrets_of_environment() -> list[str]:
    """The longest first: one may be part of another."""
    found: set[str] = set()
    for name, value in os.environ.items():
        if _SECRET.search(name) and not _is_file(value):  # such as a key's
            found |= {value, value.partition(":")[2]}  # a user's name and password
        for address in _ADDRESS.finditer(value):
            if user := _USER.match(address[2]):
                password = user[0].removesuffix("@").partition(":")[2] or user[0].removesuffix("@")
                found |= {password, unquote(password)}
    # As they are, without the line break of the file that they came from, and as `repr` quotes them.
    forms = {form for secret in found for form in (secret, secret.strip(), repr(secret.strip())[1:-1])}
    return sorted((secret for secret in forms if len(secret.strip()) >= _LONG), key=len, reverse=True)


def _is_file(text: str) -> bool:
    return text.startswith(("/", "~")) and "\n" not in text and Path(text).is_file()
