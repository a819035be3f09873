"""The wheel: with the base alone it separates, and says what other commands need; with [all] it does the whole job."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from importlib import import_module
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from flows.__main__ import commands
from flows.support.extras import EXTRAS, PIPELINE, missing_extra
from tests.imports import packages_on_load
from tests.models import write_model
from tests.repository import ROOT
from tests.test_dependencies import imported_modules, modules_of

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
# Commands whose syntax is right and whose content is wrong, each with the extras that it needs.
WITH_EXTRAS = {
    "augment -p nowhere.json --out out --pitch 2": PIPELINE,
    "cache -p nowhere.json": PIPELINE,
    "compare nowhere nowhere": ("evaluate",),
    "evaluate -p nowhere.json --csv nowhere.csv -o out": PIPELINE,
    "export nowhere --format onnx -o out": ("export",),
    "ingest --musdb-root nowhere --out out": PIPELINE,
    "inspect -p nowhere.json -o chunk.png": ("train",),
    "prepare_musdb --musdb-root nowhere": PIPELINE,
    "publish nowhere --version 1.0.0": PIPELINE,
    "quickstart": PIPELINE,
    "reproduce nowhere": PIPELINE,
    "serve": PIPELINE,
    "train -p musdb": PIPELINE,
    "train -p musdb --runner dask --scheduler tcp://127.0.0.1:9": (*PIPELINE, "cluster"),
    "separate_batch nowhere -o out --runner dask --scheduler tcp://127.0.0.1:9": ("evaluate", "cluster"),
}
ABSENT = {"tensorflow", "keras", "mlflow", "prefect", "onnx", "pandas", "matplotlib", "torch"}


def distributions(requirements):
    """Names of what a plain installation of some requirements brings, themselves among them."""
    found, left = set(), [Requirement(text) for text in requirements]
    while left:
        requirement = left.pop()
        wanted = [extra for extra in ("", *requirement.extras)]
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            for text in importlib.metadata.requires(requirement.name) or []:
                of_it = Requirement(text)
                if of_it.name not in found and any(
                    of_it.marker is None or of_it.marker.evaluate({"extra": extra}) for extra in wanted
                ):
                    left.append(of_it)
            found.add(requirement.name)
    return found


KEPT = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]


def install(folder, wheel, requirements):
    """An environment with the wheel and a plain installation of some requirements; the folder of its programs."""
    venv.create(folder, with_pip=False)
    packages = next((folder / "lib").glob("python*/site-packages"))
    python = folder / "bin" / "python"
    subprocess.run([*PIP, "--python", python, "install", "--no-deps", "--no-index", wheel], check=True)
    for name in distributions(requirements):
        installed = importlib.metadata.distribution(name)
        for top in {file.parts[0] for file in installed.files or [] if file.parts[0] not in ("..", "__pycache__")}:
            if not (packages / top).exists():
                (packages / top).symlink_to(Path(str(installed.locate_file(top))))
    return python.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel in the folder that STEMWORKS_DIST names, or one of this checkout."""
    dist = Path(os.environ.get("STEMWORKS_DIST") or build(tmp_path_factory.mktemp("wheel")))
    (found,) = dist.absolute().glob("*.whl")
    return found


@pytest.fixture(scope="module")
def lean(tmp_path_factory, wheel):
    """A Python with the wheel and the base's dependencies only."""
    return install(tmp_path_factory.mktemp("lean"), wheel, PROJECT["dependencies"]) / "python"


def build(folder):
    """The folder of a wheel of this checkout, which is built from a copy: a build leaves files beside the code."""
    checkout = folder / "checkout"
    for name in ("flows", "tasks", "sepcore", "conf"):
        shutil.copytree(ROOT / name, checkout / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    subprocess.run([*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", folder / "dist", checkout], check=True)
    return folder / "dist"


@pytest.fixture
def run(lean, tmp_path):
    return lambda *arguments, **variables: subprocess.run(
        [lean, *map(str, arguments)],
        cwd=tmp_path,
        env=KEPT | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_is_imported_beyond_the_base_is_named_with_its_extra():
    base = {module for name in distributions(PROJECT["dependencies"]) for module in modules_of(name)}
    own = {"flows", "tasks", "sepcore", ""}
    imported = {module for module in imported_modules() if "." not in module} - own - set(sys.stdlib_module_names)
    assert imported - base == {module for modules in EXTRAS.values() for module in modules} & imported
    for extra, modules in EXTRAS.items():
        wanted = [text for text in PROJECT["optional-dependencies"][extra] if not text.startswith("stemworks[")]
        brought = {module.split(".")[0] for name in distributions(wanted) for module in modules_of(name)}
        assert set(modules) <= brought - base, extra


def test_the_extra_all_is_named_only_where_it_helps():
    (of_all,) = PROJECT["optional-dependencies"]["all"]
    for extra, modules in EXTRAS.items():
        told = missing_extra(ModuleNotFoundError(name=modules[0]))
        assert ("stemworks[all]" in told.hint) == (extra in of_all), extra


def test_only_a_failed_import_itself_is_told_as_a_missing_extra():
    missing = ModuleNotFoundError("No module named 'jax'", name="jax")
    assert "stemworks[jax]" in missing_extra(missing).hint
    assert missing_extra(ModuleNotFoundError("No module named 'other'", name="other")) is None
    fault = ValueError("raised by a library that does without jax")
    fault.__context__ = missing
    assert missing_extra(fault) is None


@pytest.mark.slow
def test_the_wheel_has_the_configs_as_data_and_brings_no_package_called_conf(run):
    listed = run(
        "-c",
        "from sepcore.config.model_config import config_folder as f; print(*sorted(c.stem for c in f().glob('*')))",
    )
    assert listed.stdout.split() == sorted(file.stem for file in (ROOT / "conf").glob("*.json")), listed.stderr
    assert run("-c", "import conf").returncode == 1


@pytest.mark.slow
def test_the_base_separates_with_pages_and_imports_nothing_of_an_extra(run, lean, tmp_path):
    model = write_model(tmp_path / "model")
    subprocess.run(
        ["ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", "sine=duration=2", tmp_path / "song.wav"], check=True
    )
    (tmp_path / ".env").write_text("SOMETHING=else\n")
    for mwf in ([], ["--mwf"]):
        done = run("-m", "flows.separate_batch", "song.wav", "-o", "out", "-p", model, "--page", "--overwrite", *mwf)
        assert (done.returncode, "1 done" in done.stdout) == (0, True), done.stderr
    assert {file.suffix for file in (tmp_path / "out").rglob("*") if file.is_file()} >= {".wav", ".html", ".parquet"}
    script = "import sys, numpy, sepcore; print(*sepcore.Separator(sys.argv[1]).separate(numpy.zeros((9, 2), 'f4')))"
    assert run("-c", script, model).stdout.split() == ["vocals", "accompaniment"]
    assert run("-m", "flows", "models", "list").returncode == 0
    shutil.copytree(model / "model", tmp_path / "pretrained_models" / "mine")
    shutil.copy(model / "config.json", tmp_path / "pretrained_models" / "mine")
    verified = run("-m", "flows", "models", "verify", "mine")
    assert (verified.returncode, "every tensor" in verified.stdout) == (0, True), verified.stderr
    installed = {path.name for path in next(lean.parents[1].glob("lib/python*/site-packages")).iterdir()}
    assert not installed & ABSENT


@pytest.mark.slow
@pytest.mark.parametrize("command", sorted(set(commands()) - {"completion"}))
def test_every_commands_help_needs_no_extra(run, command):
    shown = run("-m", f"flows.{command}", "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "Usage:" in shown.stdout


def told_extras(refused):
    """The extras that a command's one line names."""
    assert refused.returncode == 2, refused.stderr
    (line,) = refused.stderr.splitlines()
    return re.search(r"pip install 'stemworks\[([\w,]+)\]'", line)[1].split(",")


@pytest.mark.slow
@pytest.mark.parametrize("command", WITH_EXTRAS)
def test_an_extra_that_is_not_installed_is_told_before_what_else_is_wrong(run, command):
    assert told_extras(run("-m", *f"flows.{command}".split())) == list(WITH_EXTRAS[command])


@pytest.mark.parametrize("command", WITH_EXTRAS)
def test_the_same_where_the_modules_of_the_extras_are_hidden(tmp_path, command):
    hidden = {module for modules in EXTRAS.values() for module in modules}
    (tmp_path / "sitecustomize.py").write_text(f"import sys; sys.modules |= dict.fromkeys({hidden})\n")
    refused = subprocess.run(
        [sys.executable, "-m", *f"flows.{command}".split()],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told_extras(refused) == list(WITH_EXTRAS[command])


@pytest.mark.slow
def test_a_configured_prefect_api_asks_for_its_extras(run):
    refused = run("-m", "flows.separate", "nothing.wav", PREFECT_API_URL="http://127.0.0.1:9/api")
    assert told_extras(refused) == ["evaluate", "orchestrate"]


@pytest.mark.parametrize("command", sorted(set(commands()) - {"completion"}))
def test_the_extras_of_a_command_bring_all_that_it_loads(command):
    (started,) = re.findall(r'run\(Options, "([\w.]+)"', (ROOT / "flows" / command / "__main__.py").read_text("utf-8"))
    options = import_module(f"flows.{command}.options").Options
    brought = {module for extra in options.needs for module in EXTRAS[extra]}
    of_extras = {module for modules in EXTRAS.values() for module in modules}
    assert packages_on_load(started) & of_extras <= brought
    assert not packages_on_load(options.__module__) & of_extras
    assert not options.needs or command in {line.split()[0] for line in WITH_EXTRAS}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif("STEMWORKS_DIST" not in os.environ, reason="of minutes: make wheel runs it")
def test_the_wheel_with_the_extra_all_does_the_whole_job_in_an_empty_folder(wheel, tmp_path):
    extras = PROJECT["optional-dependencies"]
    (of_all,) = extras["all"]
    wanted = [text for extra in sorted(Requirement(of_all).extras) for text in extras[extra]]
    programs = install(tmp_path / "venv", wheel, [*PROJECT["dependencies"], *wanted])
    (folder := tmp_path / "empty").mkdir()
    done = subprocess.run(
        [programs / "stemworks", "quickstart"],
        cwd=folder,
        env=KEPT | {"PATH": f"{programs}{os.pathsep}{KEPT['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(folder.glob("data/quickstart/releases/*/*.tar.gz"))
    assert list(folder.glob("data/quickstart/**/vocals.wav"))
    assert (folder / "mlflow.db").is_file()
    assert "mlflow ui --backend-store-uri sqlite:///" in done.stdout  # there is no Makefile
