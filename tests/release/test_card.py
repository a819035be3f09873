import pytest

from sepcore.release.card import model_card, release_notes
from sepcore.release.gate import Candidate
from sepcore.release.training_record import ReleasableRun
from tests.release.publishing import publish_release


@pytest.fixture
def card(run_folder):
    """The text of the run's card."""

    def card(forced=None):
        return model_card(Candidate("mine", "1.0.0", ReleasableRun.load(run_folder), forced))

    return card


@pytest.mark.parametrize(
    "line",
    [
        "# mine 1.0.0",
        "Separates music into 2 stems: vocals, accompaniment.",
        "**Bandwidth: 11025 Hz.** The network hears nothing above that; there the stems are silent.",
        "| STFT | 4096-sample Hann window, hop 1024 |",
        "| steps | 1500 |",
        "| songs | 24 |",
        "| weights of step | 1400 |",
        "| hardware | Some CPU, 2 cores |",
        "| code (git commit) | c0ffee |",
        "| dataset fingerprint | `abcdef012345` |",
        "| MLflow run | `0123456789abcdef` |",
        "| stem | SDR | SDR of the untouched mixture | ISR | SIR | SAR | global SDR | SI-SDR |",
        "| vocals | 5.00 | -3.00 | 9.00 | – | 4.00 | 5.50 | – |",
        "    python -m flows.separate_batch SONGS -o stems -p mine.tar.gz",
        "    spleeter separate -p pretrained_models/mine/config.json -o stems SONG",
    ],
)
def test_the_card_says(card, line):
    assert line in card().splitlines()


def test_the_card_says_what_the_scores_are(card):
    scored = "in dB on SynthMUS test: median over the 1 s frames of each of 6 tracks, then over the tracks; 12 frames"
    assert scored in card()


def test_a_release_against_the_gate_says_so(card):
    assert "forced" not in card()
    assert "against the gate (forced): too bad" in card(forced="too bad")


def test_a_run_without_scores_says_so(card, run_folder):
    (run_folder / "scores.json").unlink()
    assert "## Scores\n\nNever scored.\n" in card(forced="not scored")


# The text of a release on GitHub


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
