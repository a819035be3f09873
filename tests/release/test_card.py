import pytest

from sepcore.release.card import model_card
from sepcore.release.finished_run import FinishedRun


@pytest.fixture
def run(run_folder):
    return FinishedRun.load(run_folder)


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
def test_the_card_says(run, line):
    assert line in model_card(run, name="mine", version="1.0.0").splitlines()


def test_the_card_says_what_the_scores_are(run):
    card = model_card(run, name="mine", version="1.0.0")
    assert (
        "in dB on SynthMUS test: median over the 1 s frames of each of 6 tracks, then over the tracks; 12 frames"
        in card
    )


def test_a_release_against_the_gate_says_so(run):
    assert "forced" not in model_card(run, name="mine", version="1.0.0")
    assert "against the gate (forced): too bad" in model_card(run, name="mine", version="1.0.0", forced="too bad")


def test_a_run_without_scores_says_so(run_folder):
    (run_folder / "scores.json").unlink()
    card = model_card(FinishedRun.load(run_folder), name="mine", version="1.0.0", forced="not scored")
    assert "## Scores\n\nNever scored.\n" in card
