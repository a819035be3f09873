import subprocess

import pytest

from tasks.tracking.run_facts import flow_run_tags, git_tags


@pytest.fixture
def checkout(tmp_path):
    """A git checkout with one tracked file."""
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    (tmp_path / "code.py").write_text("1\n")
    for arguments in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "First"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    return tmp_path


def test_a_checkout_names_its_commit_and_whether_it_was_changed(checkout):
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, check=True, capture_output=True, text=True)
    assert git_tags(checkout) == {"mlflow.source.git.commit": head.stdout.strip(), "git_dirty": "false"}
    (checkout / "results.txt").write_text("not tracked\n")
    assert git_tags(checkout)["git_dirty"] == "false"
    (checkout / "code.py").write_text("2\n")
    assert git_tags(checkout)["git_dirty"] == "true"


def test_an_installed_project_and_a_machine_without_git_have_no_commit(tmp_path, checkout, monkeypatch):
    (checkout / "inside").mkdir()
    assert git_tags(checkout / "inside") == {}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_tags(checkout) == {}


def test_outside_a_flow_there_is_no_flow_run():
    assert flow_run_tags() == {}
