"""What people read about a release: ``model_card.md`` in its tarball, and the text of its page on GitHub."""

import math
from collections.abc import Sequence

from sepcore.config.model_config import ModelConfig
from sepcore.evaluation.scores import ScoreSummary
from sepcore.release.gate import Candidate, Published

# Facts of the run in the card, and their labels.
_FACTS = {
    "songs": "songs",
    "manifest": "training manifest",
    "weights": "weights of step",
    "init_from": "started from",
    "hardware": "hardware",
    "commit": "code (git commit)",
    "version": "code (stemworks)",
}
# Scores in the card, by their names in `scores.json`, and their labels.
_COLUMNS = {
    "SDR": "SDR",
    "mixture_SDR": "SDR of the untouched mixture",
    "ISR": "ISR",
    "SIR": "SIR",
    "SAR": "SAR",
    "global_SDR": "global SDR",
    "SI_SDR": "SI-SDR",
}


def model_card(released: Candidate) -> str:
    """The card of a release, as Markdown; the same candidate always gives the same text."""
    name, version, run, forced = released.name, released.version, released.run, released.forced
    config, record = run.config, run.record
    stems = ", ".join(config.instruments)
    sections = [
        f"# {name} {version}",
        f"Separates music into {len(config.instruments)} stems: {stems}.",
        f"**Bandwidth: {config.bandwidth_hz:.0f} Hz.** The network hears nothing above that; there the stems are "
        f"{_above_bandwidth(config)}.",
        "## Model",
        _table(
            ("", ""),
            [
                ("network", config.model.type),
                ("audio", f"{config.sample_rate} Hz, {config.num_channels} channel(s)"),
                ("STFT", _stft(config)),
                ("segment", f"{config.segment_frames} frames x {config.num_bins} bins"),
                _estimates(config),
            ],
        ),
        "## Training",
        _table(
            ("", ""),
            [
                ("steps", str(record.steps)),
                ("batch size", str(config.batch_size)),
                ("optimizer", f"{config.optimizer}, learning rate {config.learning_rate:g}"),
                ("loss", config.loss_type),
                ("seed", str(config.random_seed)),
                *((label, record.facts[key]) for key, label in _FACTS.items() if key in record.facts),
                ("dataset fingerprint", f"`{record.dataset}`"),
                ("config fingerprint", f"`{config.fingerprint()}`"),
                ("MLflow run", f"`{record.mlflow_run_id or 'none'}`"),
            ],
        ),
        "## Scores",
        _scores(run.scores),
        *([f"These are {run.scores_note}."] if run.scores and run.scores_note else []),
        *([f"Released against the gate (forced): {forced}."] if forced else []),
        "## Use",
        f"With this project:\n\n    python -m flows.separate_batch SONGS -o stems -p {name}.tar.gz",
        f"Or by name, from where the release lies (a GitHub host, a mirror of it, a folder):\n\n"
        f"    GITHUB_HOST=HOST GITHUB_REPOSITORY=OWNER/NAME GITHUB_RELEASE={version} \\\n"
        f"        python -m flows.separate_batch SONGS -o stems -p {name}",
        "With Spleeter:\n\n"
        f"    mkdir -p pretrained_models/{name}\n"
        f"    tar xzf {name}.tar.gz -C pretrained_models/{name}\n"
        f"    spleeter separate -p pretrained_models/{name}/config.json -o stems SONG",
        "## License",
        "Unknown: the publisher has not stated a license for these weights. The recordings that a model was trained on "
        "have licenses of their own, which may limit what it may be used for.",
    ]
    return "\n\n".join(sections) + "\n"


def release_notes(published: Sequence[Published], repository: str) -> str:
    """Markdown for the page of a release of these models, all of one version, in ``repository`` (``owner/name``)."""
    first = published[0]
    variables = f"GITHUB_REPOSITORY={repository} GITHUB_RELEASE={first.version}"
    use = (
        f"## Use\n\n    {variables} python -m flows.separate_batch SONGS -o OUT -p {first.name}\n\n"
        f"or with Spleeter and the `config.json` of the tarball:\n\n"
        f"    {variables} spleeter separate -p config.json -o OUT SONG"
    )
    return "\n\n".join([*(_notes_of(one) for one in published), use]) + "\n"


def _notes_of(published: Published) -> str:
    scores = published.run.scores
    sdr = scores and ", ".join(f"{name} {stem.sdr:.2f}" for name, stem in scores.stems.items())
    lines = [
        f"## {published.name}",
        f"Stems: {', '.join(published.run.config.instruments)}. SHA-256 `{published.sha256}`.",
        f"Median SDR in dB on {scores.dataset}: {sdr}." if scores else "Never scored.",
        *([f"Released against the gate (forced): {published.forced}."] if published.forced else []),
        "More in the `model_card.md` of its tarball.",
    ]
    return "\n\n".join(lines)


def _scores(scores: ScoreSummary | None) -> str:
    if scores is None:
        return "Never scored."
    rows = [(name, *(_db(stem.by_metric()[metric]) for metric in _COLUMNS)) for name, stem in scores.stems.items()]
    return (
        f"BSSEval v4 (museval) in dB on {scores.dataset}: median over the 1 s frames of each of {scores.num_tracks} "
        f"tracks, then over the tracks; {scores.num_nan_frames} frames of a stem had no score (silence) and are left "
        "out. Global SDR (that of the Music Demixing Challenge) and SI-SDR are of whole tracks, the mean over them.\n\n"
        + _table(("stem", *_COLUMNS.values()), rows)
    )


def _db(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _above_bandwidth(config: ModelConfig) -> str:
    if config.model.domain == "complex":
        return "equal parts of what they leave of the mixture" if config.mixture_consistency else "silent"
    return "silent" if config.mask_extension == "zeros" else "shared out like the bins below, on average"


def _stft(config: ModelConfig) -> str:
    window = "Hann" if config.stft_window == "hann" else "rectangular"
    normalized = ", normalized" if config.stft_normalized else ""
    return f"{config.frame_length}-sample {window} window, hop {config.hop_length}{normalized}"


def _estimates(config: ModelConfig) -> tuple[str, str]:
    if config.model.domain == "complex":
        overlap = f"segments overlap by {config.default_overlap:.0%}"
        consistent = ", stems add up to the mixture" if config.mixture_consistency else ""
        return "estimates", f"the stems' own spectra{consistent}; {overlap}"
    return "masks", f"exponent {config.separation_exponent:g}, {config.mask_extension} above the bandwidth"
