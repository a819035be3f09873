"""Commands that succeed and fail with secrets in their environment, none of which is told or kept."""

import hashlib
import json
import secrets
import tarfile

import pytest

from tests.flows.test_commands import CONFIG, write_csv, write_wav
from tests.models import write_model
from tests.provider.conftest import ReleaseServer, Response

pytestmark = pytest.mark.slow

ADDRESSES = ("MLFLOW_TRACKING_URI", "GITHUB_HOST", "PREFECT_API_URL", "HTTP_PROXY")
NOBODY = "127.0.0.1:9"


@pytest.fixture
def planted():
    """Passwords by the variables that hold them."""
    return {name: f"{secrets.token_hex(8)}x{secrets.token_hex(8)}" for name in (*ADDRESSES, "token", "credential")}


@pytest.fixture
def here(tmp_path):
    write_wav(tmp_path / "song.wav", 3)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    write_csv(
        tmp_path / "train.csv", "mix_path,vocals_path,accompaniment_path,duration", "song.wav,song.wav,song.wav,3"
    )
    return tmp_path


@pytest.fixture
def release(tmp_path):
    """A release of one model, that wants a token in its address."""
    write_model(tmp_path / "made" / "2stems")
    with tarfile.open(tmp_path / "2stems.tar.gz", "w:gz") as archive:
        for file in (tmp_path / "made" / "2stems").rglob("*"):
            archive.add(file, file.name, recursive=False)
    body = (tmp_path / "2stems.tar.gz").read_bytes()
    server = ReleaseServer()
    place = "/deezer/spleeter/releases/download/v1.4.0"
    sums = json.dumps({"2stems": hashlib.sha256(body).hexdigest()}).encode()
    server.answers = {f"{place}/checksum.json": Response(sums), f"{place}/2stems.tar.gz": Response(body)}
    yield server
    server.close()


GOOD = "models pull 2stems", "models list --verbose"
COMMANDS = {
    "models list --verbose": {"GITHUB_HOST": NOBODY},
    "models pull 2stems": {"GITHUB_HOST": "release"},
    "models pull 5stems --verbose": {"GITHUB_HOST": "release"},
    "separate_batch song.wav -o out -p 5stems --verbose": {"GITHUB_HOST": NOBODY, "HTTP_PROXY": NOBODY},
    "cache -p config.json --verbose": {"PREFECT_API_URL": NOBODY},
    "train -p config.json --max-steps 1 --verbose": {"MLFLOW_TRACKING_URI": NOBODY},
    "serve": {"PREFECT_API_URL": "127.0.0.2:9"},
    "ingest --musdb-root s3://me:{token}@host/x --out out": {},
}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_tells_or_keeps_a_secret(command, planted, here, run, release):
    places = {"release": release.url.removeprefix("http://")}
    variables = {
        name: f"http://me:{planted[name]}@{places.get(place, place)}" + ("/api" if name == "PREFECT_API_URL" else "")
        for name, place in COMMANDS[command].items()
    }
    variables |= {"GITHUB_TOKEN": planted["token"], "PREFECT_API_AUTH_STRING": f"me:{planted['credential']}"}
    variables |= {"PREFECT_HOME": str(here / "prefect"), "HOME": str(here / "home")}
    result = run(*command.format(**planted).split(), **variables)
    said = result.stdout + result.stderr
    assert (result.returncode == 0) == (command in GOOD), said
    kept = [path for path in here.rglob("*") if path.is_file()]
    for secret in planted.values():
        assert secret not in said
        assert [path for path in kept if secret in str(path) or secret.encode() in path.read_bytes()] == []
