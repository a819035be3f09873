"""What the numbers of a report mean, in words."""

import numpy as np

from sepcore.evaluation.report.evaluation_report import NOT_COMPARABLE, EvaluationReport
from sepcore.evaluation.report.published import PUBLISHED
from sepcore.page.document import text


def warning_box(evaluation: EvaluationReport) -> str:
    """The warning of a test set on which nothing was published; empty for MUSDB18's."""
    if evaluation.is_musdb18_test:
        return ""
    return (
        f'<p class="warning" role="note"><strong>{text(evaluation.dataset)} is {text(NOT_COMPARABLE)}.</strong> '
        "They are shown for orientation only: other songs, other numbers.</p>"
    )


def explanations(evaluation: EvaluationReport) -> str:
    """How scores are defined, which are left out, and what computed them."""
    sdr = evaluation.frames["SDR"].to_numpy(np.float64)
    left_out = f"{np.count_nonzero(~np.isfinite(sdr))} of {len(sdr)} frames"
    entries = {
        "SDR, ISR, SIR, SAR": "BSSEval v4 as museval computes it, in dB, more is better: overall distortion, spatial "
        "distortion, interference of the other stems, and artefacts. A track's score is the median over its frames, a "
        "model's the median over the tracks.",
        "Frames without a score": "A frame in which any reference or any estimate is silent is NaN for every stem, as "
        "in museval. A stem that is silent throughout a track is NaN throughout and does not spoil the others. Medians "
        f"leave NaN and infinite frames out: here {left_out}, counting each stem's.",
        "Global SDR (MDX)": "10 log₁₀((Σ s² + 10⁻⁷) / (Σ (s − ŝ)² + 10⁻⁷)) of a whole track, summed over all samples "
        "and channels; the mean over the tracks, as in the Music Demixing Challenge.",
        "SI-SDR": "Scale-invariant SDR of a whole track, its channels taken together; the mean over the tracks. "
        "J. Le Roux, S. Wisdom, H. Erdogan and J. R. Hershey, “SDR – half-baked or well done?”, ICASSP 2019.",
        "Untouched mixture": "The SDR of the mixture taken for the stem: what doing nothing scores.",
        "Mean": "Of the stems that have a score; beside other models only where every stem has one.",
        "Engine": evaluation.engine,
    }
    items = "\n".join(f"<dt>{text(name)}</dt>\n<dd>{text(meaning)}</dd>" for name, meaning in entries.items())
    return f"<dl>\n{items}\n</dl>"


def published_sources() -> str:
    """Where the published numbers stand, numbered as in the table of models."""
    items = "\n".join(
        f"<li>{text(model.name)}, trained on {text(model.training)}: {text(model.source)}.</li>" for model in PUBLISHED
    )
    return f"<details>\n<summary>Sources of the published numbers</summary>\n<ol>\n{items}\n</ol>\n</details>"
