import pytest

from sepcore.release.notes import release_notes
from tests.release.publishing import publish_release


@pytest.fixture
def published(run_folder, tmp_path):
    return lambda **options: publish_release(run_folder, version="1.0.0", releases=tmp_path / "releases", **options)


def test_the_notes_say_of_every_model_how_good_it_is_and_how_it_is_fetched(published):
    first, second = published(), published(name="again")
    lines = release_notes([first, second], "me/models").splitlines()
    assert [line for line in lines if line.startswith("## ")] == ["## mine", "## again", "## Use"]
    assert lines.count("Median SDR in dB on SynthMUS test: vocals 5.00, accompaniment 8.00.") == 2
    assert f"Stems: vocals, accompaniment. SHA-256 `{second.sha256}`." in lines
    variables = "GITHUB_REPOSITORY=me/models GITHUB_RELEASE=1.0.0"
    assert f"    {variables} python -m flows.separate_batch SONGS -o OUT -p mine" in lines


def test_a_forced_release_says_so(run_folder, published):
    (run_folder / "scores.json").unlink()
    notes = release_notes([published(force=True)], "me/models")
    assert "Never scored." in notes
    assert "Released against the gate (forced): release refused" in notes
