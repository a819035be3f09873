import hashlib
import json
import multiprocessing
import shutil

import pytest

from sepcore.config.load import load_config
from sepcore.errors import ConfigError, ProviderError
from sepcore.provider import resolve
from sepcore.provider.archive import pack_archive
from sepcore.provider.checksum import known_sha256
from sepcore.provider.resolve import LocalModel, is_at_hand, locate_model
from sepcore.provider.transfer import NotPublished
from tests.provider.conftest import CHECKPOINT, Response, names
from tests.raised import raises


def release(folder, name, **members):
    """A release's files of one model: its tarball and checksum.json."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"{name}.tar.gz"
    pack_archive({**CHECKPOINT, **members}, archive)
    checksum = hashlib.sha256(archive.read_bytes()).hexdigest()
    (folder / "checksum.json").write_text(json.dumps({name: checksum}))
    return archive


def serve(server, archive, base="/deezer/spleeter/releases/download/v1.4.0"):
    server.answers[f"{base}/checksum.json"] = Response(archive.with_name("checksum.json").read_bytes())
    server.answers[f"{base}/{archive.name}"] = Response(archive.read_bytes())


@pytest.fixture
def write_run(write_checkpoint, config_json):
    def write(folder, weights="model"):
        write_checkpoint(folder / weights)
        (folder / "config.json").write_text(config_json)
        return folder

    return write


# Names


@pytest.mark.parametrize("descriptor", ["2stems", "spleeter:2stems"])
def test_a_shipped_name_is_found_in_model_path(models, write_checkpoint, descriptor):
    write_checkpoint(models / "2stems")
    assert locate_model(descriptor) == LocalModel("2stems", load_config("2stems"), models / "2stems")


def test_a_missing_name_is_downloaded_once_and_found_again(tmp_path, models, server):
    serve(server, release(tmp_path / "made", "2stems"))
    progress = []
    found = locate_model("2stems", on_progress=lambda *size: progress.append(size))
    assert locate_model("2stems") == found == LocalModel("2stems", load_config("2stems"), models / "2stems")
    assert progress
    assert server.requests == dict.fromkeys(server.answers, 1)
    assert (models / "2stems" / ".probe").read_text() == "OK"


def test_a_variant_borrows_the_weights_of_another_name_and_keeps_its_own_config(tmp_path, models, server, config_json):
    serve(server, release(tmp_path / "made", "2stems", **{"config.json": config_json.encode()}))
    found = locate_model("spleeter:2stems-16kHz")
    assert found == LocalModel("2stems-16kHz", load_config("2stems-16kHz"), models / "2stems")


def test_a_variant_that_was_trained_itself_needs_no_borrowed_weights(models, write_checkpoint):
    write_checkpoint(models / "2stems")
    write_checkpoint(models / "2stems-16kHz")
    assert locate_model("2stems-16kHz").folder == models / "2stems-16kHz"


def test_the_config_in_a_models_folder_wins_over_the_shipped_one(models, write_checkpoint, config_json):
    write_checkpoint(models / "2stems")
    (models / "2stems" / "config.json").write_text(config_json)
    assert locate_model("2stems").config.instruments == ("vocals", "drums", "rest")


def test_a_tarball_in_model_path_is_unpacked_instead_of_a_download(models):
    release(models, "4stems")
    assert locate_model("4stems").folder == models / "4stems"


def test_a_release_folder_as_model_path_gives_its_models_by_name(models, config_json):
    release(models, "mine", **{"config.json": config_json.encode()})
    found = locate_model("mine")
    assert (found.name, found.folder) == ("mine", models / "mine")
    assert found.config.instruments == ("vocals", "drums", "rest")


def test_a_tarball_in_model_path_that_is_not_the_published_one_is_refused(models):
    release(models, "4stems").write_bytes(b"another")
    with raises(ProviderError, "SHA-256", "checksum.json", path=models / "4stems.tar.gz"):
        locate_model("4stems")
    assert names(models) == ["4stems.tar.gz", "checksum.json"]


def test_a_model_of_ones_own_repository_brings_its_config(tmp_path, models, server, monkeypatch, config_json):
    monkeypatch.setenv("GITHUB_REPOSITORY", "me/mine")
    archive = release(tmp_path / "made", "mine", **{"config.json": config_json.encode()})
    serve(server, archive, "/me/mine/releases/latest/download")
    assert locate_model("mine").config.instruments == ("vocals", "drums", "rest")


def test_a_trained_model_of_a_shipped_config_stands_in_its_model_dir(models, write_checkpoint):
    write_checkpoint(models / "musdb_model")
    assert locate_model("musdb").folder == models / "musdb_model"


def test_a_shipped_model_that_nobody_publishes_must_be_trained(models):
    with raises(ProviderError, "musdb ", models / "musdb_model", hint="MODEL_PATH"):
        locate_model("musdb")


@pytest.mark.parametrize("descriptor", ["6stems", "../2stems", "spleeter:", "missing.json", "a/b.tar.gz"])
def test_what_leads_nowhere_is_answered_with_what_there_is(descriptor):
    with raises(ConfigError, path=descriptor, hint="2stems, ") as error:
        locate_model(descriptor)
    assert "JSON" in error.value.hint


def test_a_model_is_at_hand_where_nothing_must_be_fetched_or_unpacked(
    models, write_checkpoint, write_run, tmp_path, monkeypatch
):
    assert not is_at_hand("2stems")
    write_checkpoint(models / "2stems")
    assert is_at_hand("2stems")
    assert is_at_hand("spleeter:2stems")
    assert not is_at_hand("2stems-16kHz")  # borrows its weights
    write_run(tmp_path / "run")
    assert is_at_hand(tmp_path / "run")
    assert not is_at_hand(models / "2stems.json")
    (here := tmp_path / "here").mkdir()
    monkeypatch.chdir(here)
    (here / "4stems").mkdir()  # of stems, say
    assert not is_at_hand("4stems")
    archive = release(models, "2stems")
    assert not is_at_hand(archive)
    assert not is_at_hand("2stems")  # the tarball may hold other weights


def test_a_failed_download_is_one_line_and_leaves_nothing(models, server):
    listed = f"{server.url}/deezer/spleeter/releases/download/v1.4.0/checksum.json"
    with raises(NotPublished, "HTTP 404", path=listed, hint="MODEL_PATH") as error:
        locate_model("2stems")
    assert "\n" not in str(error.value)
    assert names(models) == []


def locate_2stems(_):
    return locate_model("2stems").folder


def test_several_processes_fetch_a_model_once(tmp_path, models, server):
    serve(server, release(tmp_path / "made", "2stems"))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(locate_2stems, range(4), chunksize=1) == [models / "2stems"] * 4
    assert server.requests == dict.fromkeys(server.answers, 1)


# JSON files


@pytest.mark.parametrize("place", ["models/mine", "project/mine", "project"])
def test_a_json_files_model_dir_is_looked_for_in_model_path_then_beside_the_file(
    tmp_path, write_checkpoint, config_json, place
):
    write_checkpoint(tmp_path / place)
    (tmp_path / "project").mkdir(exist_ok=True)
    (tmp_path / "project" / "three.json").write_text(config_json)
    found = locate_model(tmp_path / "project" / "three.json")
    assert (found.name, found.folder) == ("three", tmp_path / place)
    assert found.config.instruments == ("vocals", "drums", "rest")


def test_an_absolute_model_dir_is_taken(tmp_path, write_checkpoint, config_json):
    write_checkpoint(tmp_path / "elsewhere")
    (tmp_path / "x.json").write_text(config_json.replace('"mine"', json.dumps(str(tmp_path / "elsewhere"))))
    assert locate_model(tmp_path / "x.json").folder == tmp_path / "elsewhere"


def test_a_json_file_with_the_model_dir_of_a_published_model_has_it_downloaded(tmp_path, models, server):
    serve(server, release(tmp_path / "made", "4stems"))
    (tmp_path / "x.json").write_text(load_config("4stems-16kHz").to_json())
    assert locate_model(tmp_path / "x.json") == LocalModel("x", load_config("4stems-16kHz"), models / "4stems")


def test_a_json_file_with_the_model_dir_of_ones_own_release_has_it_downloaded(
    tmp_path, models, server, monkeypatch, config_json
):
    monkeypatch.setenv("GITHUB_REPOSITORY", "me/mine")
    monkeypatch.setenv("GITHUB_RELEASE", "1.0.0")
    (tmp_path / "x.json").write_text(config_json)
    listed = f"{server.url}/me/mine/releases/download/1.0.0/checksum.json"
    with raises(
        ProviderError, models / "mine", listed, "HTTP 404", path=tmp_path / "x.json", hint="MODEL_PATH"
    ) as error:
        locate_model(tmp_path / "x.json")
    assert "GITHUB_RELEASE" in error.value.hint
    assert str(error.value).isprintable()
    archive = release(tmp_path / "made", "mine")
    serve(server, archive, "/me/mine/releases/download/1.0.0")
    found = locate_model(tmp_path / "x.json")
    assert (found.name, found.folder) == ("x", models / "mine")
    assert found.config.instruments == ("vocals", "drums", "rest")


def test_one_that_is_not_what_its_release_lists_is_refused(tmp_path, models, server, monkeypatch, config_json):
    monkeypatch.setenv("GITHUB_REPOSITORY", "me/mine")
    archive = release(tmp_path / "made", "mine")
    archive.write_bytes(archive.read_bytes() + b"x")
    serve(server, archive, "/me/mine/releases/latest/download")
    (tmp_path / "x.json").write_text(config_json)
    with raises(ProviderError, "mine.tar.gz", "SHA-256", "checksum.json", path=tmp_path / "x.json"):
        locate_model(tmp_path / "x.json")
    assert names(models) == []


@pytest.mark.parametrize(
    "model_dir", ["/tmp/mine", "../mine", "a/mine", ".", "..", ".mine", "mine/", "mi ne", "x" * 200]
)
def test_a_model_dir_that_is_no_name_is_never_fetched(tmp_path, server, monkeypatch, config_json, model_dir):
    monkeypatch.setenv("GITHUB_REPOSITORY", "me/mine")
    (tmp_path / "x.json").write_text(config_json.replace('"mine"', json.dumps(model_dir)))
    with pytest.raises((ProviderError, ConfigError)):
        locate_model(tmp_path / "x.json")
    assert not server.requests


def test_a_json_file_of_an_untrained_model_says_where_it_looked(tmp_path, config_json):
    (tmp_path / "x.json").write_text(config_json)
    looked = tmp_path / "models" / "mine", tmp_path / "mine"
    with raises(ProviderError, *looked, path=tmp_path / "x.json", hint="MODEL_PATH") as error:
        locate_model(tmp_path / "x.json")
    assert "\n" not in str(error.value)


# Tarballs and folders


def test_a_tarball_is_unpacked_once_into_a_folder_named_by_its_content(tmp_path, models, config_json):
    archive = release(tmp_path / "1.0.0", "mine", **{"config.json": config_json.encode()})
    found = locate_model(archive)
    assert found == locate_model(str(archive))
    assert found.folder == models / f"mine-{hashlib.sha256(archive.read_bytes()).hexdigest()[:12]}"
    assert names(models) == [found.folder.name]


def test_two_releases_of_one_name_stand_side_by_side(tmp_path, config_json):
    first = release(tmp_path / "1.0.0", "mine", **{"config.json": config_json.encode()})
    second = release(tmp_path / "2.0.0", "mine", **{"config.json": config_json.encode(), "more": b"x"})
    assert locate_model(first).folder != locate_model(second).folder


def test_a_tarball_without_config_gets_the_shipped_one_of_its_name(tmp_path):
    assert locate_model(release(tmp_path / "made", "4stems")).config == load_config("4stems")


def test_a_tarball_without_config_and_of_another_name_is_refused_before_it_is_unpacked(tmp_path, models):
    with raises(ConfigError, "config.json", path=tmp_path / "made" / "mine.tar.gz", hint="-p"):
        locate_model(release(tmp_path / "made", "mine"))
    assert not models.exists()


@pytest.mark.parametrize("weights", ["model", "."])
@pytest.mark.parametrize("given", [".", "config.json"])
def test_a_run_folder_or_an_unpacked_release_brings_its_weights(tmp_path, write_run, weights, given):
    run = write_run(tmp_path / "run", weights)
    found = locate_model(run / given)
    assert (found.name, found.folder) == ("run", run / weights)


def test_a_run_without_weights_yet_says_so(tmp_path, write_run):
    run = write_run(tmp_path / "run")
    shutil.rmtree(run / "model")
    with raises(ProviderError, f"{run / 'model'}, {run}", path=run, hint="MODEL_PATH"):
        locate_model(run)


@pytest.mark.shared
def test_spleeters_real_tarball_is_fetched_from_a_mirror_and_verified(shared, models, monkeypatch):
    monkeypatch.setenv("GITHUB_HOST", (shared / "models").as_uri())
    found = locate_model("2stems")
    assert names(found.folder) == sorted([*CHECKPOINT, "model.meta", ".origin.json", ".probe"])


def test_a_name_that_the_release_lacks_is_answered_with_what_there_is_here(monkeypatch, tmp_path):
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "checksum.json").write_text("{}")
    monkeypatch.setenv("GITHUB_HOST", str(tmp_path / "mirror"))
    listed = tmp_path / "mirror" / "checksum.json"
    with raises(ConfigError, listed, "'2stem'", path="2stem", hint="2stems?") as error:
        locate_model("2stem")
    assert "GITHUB_RELEASE" in error.value.hint
    trained = tmp_path / "models" / "musdb_model"
    with raises(ProviderError, "musdb", listed, path=trained, hint="python -m flows.train -p musdb"):
        locate_model("musdb")
    with raises(ConfigError, path="mine.json", hint="2stems") as error:
        locate_model("mine.json")
    assert "checksum.json" not in str(error.value)  # no release is asked for a file


def test_a_tarball_that_is_replaced_while_its_folder_is_waited_for_gives_no_wrong_weights(
    tmp_path, models, config_json, monkeypatch
):
    archive = release(tmp_path / "a", "mine", **{"config.json": config_json.encode()})
    other = release(tmp_path / "b", "mine", **{"config.json": config_json.encode(), "model.index": b"other"})
    read = archive.read_bytes()

    def replaced(path):
        digest = known_sha256(path)
        archive.write_bytes(other.read_bytes())
        (archive.with_name("checksum.json")).unlink()
        return digest

    with monkeypatch.context() as patch:
        patch.setattr(resolve, "known_sha256", replaced)
        with raises(ProviderError, path=archive) as error:
            locate_model(archive)
        assert "SHA-256" not in error.value.problem  # no list calls it damaged
    assert names(models) == []
    archive.write_bytes(read)
    folder = locate_model(archive).folder
    assert (folder / "model.index").read_bytes() == CHECKPOINT["model.index"]


@pytest.mark.parametrize("host", ["http://[::1", "http://host:99999", "http://host:x"])
def test_a_host_that_is_no_address_is_one_line(models, monkeypatch, host):
    monkeypatch.setenv("GITHUB_HOST", host)
    with raises(ProviderError, "GITHUB_HOST", host, hint="http(s)"):
        locate_model("2stems")
