"""Check the wheel and the sdist in a folder: what they hold, and what their metadata say. `make wheel` runs it."""

import email
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

from tests.repository import ROOT

PACKAGES = {"flows", "tasks", "sepcore"}
# A link to conf/, and what only the linter reads.
NOT_INSTALLED = {"sepcore/conf", "tasks/ruff.toml"}


def tracked():
    """Files of the packages as git has them; configs lie in sepcore once they are installed."""
    names = subprocess.run(
        ["git", "ls-files", *PACKAGES, "conf"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    return {f"sepcore/{name}" if name.startswith("conf/") else name for name in names} - NOT_INSTALLED


def relative_targets(markdown):
    """Where its links and images lead that are no whole addresses: an index shows the README without the repository."""
    ways = r"\]\(\s*<?([^)>\s]+)", r"^ {0,3}\[[^\]]+\]:\s*<?([^>\s]+)", r"(?:href|src)\s*=\s*[\"']?([^\"'\s>]+)"
    targets = [target for way in ways for target in re.findall(way, markdown, re.MULTILINE)]
    return [target for target in targets if not re.match(r"https?://|mailto:", target)]


def faults(folder):
    """Everything that is wrong with the wheel and the sdist in a folder, a line each."""
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        about = next(name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(about))
    code = {name for name in names if ".dist-info/" not in name}
    yield from (f"{wheel.name}: lacks {name}" for name in sorted(tracked() - code))
    yield from (f"{wheel.name}: {name} is not in git" for name in sorted(code - tracked()))
    with tarfile.open(sdist) as archive:
        packed = {str(PurePosixPath(*PurePosixPath(member.name).parts[1:])) for member in archive if member.isfile()}
    yield from (f"{sdist.name}: lacks {name}" for name in sorted(tracked() - packed))
    if metadata["Description-Content-Type"] != "text/markdown" or not metadata.get_payload().strip():
        yield f"{wheel.name}: its description is not the README's Markdown"
    for target in relative_targets(metadata.get_payload()):
        yield f"{wheel.name}: its description links to {target}, which is only in the repository"
    direct = [text for text in metadata.get_all("Requires-Dist") if "@" in text]
    yield from (f"{wheel.name}: {text} is an address, which no index takes" for text in direct)


if __name__ == "__main__":
    found = list(faults(Path(sys.argv[1])))
    sys.exit("\n".join(found) if found else 0)
