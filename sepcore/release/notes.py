"""The text of a release on GitHub: which models it has, how good they are, how they are fetched."""

from collections.abc import Sequence

from sepcore.release.publish import Published


def release_notes(published: Sequence[Published], repository: str) -> str:
    """Markdown for the page of a release.

    Args:
        published: Its models, all of one version.
        repository: ``owner/name``.
    """
    return "\n\n".join([*(_model(one) for one in published), _use(published[0], repository)]) + "\n"


def _model(published: Published) -> str:
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


def _use(published: Published, repository: str) -> str:
    variables = f"GITHUB_REPOSITORY={repository} GITHUB_RELEASE={published.version}"
    return (
        f"## Use\n\n    {variables} python -m flows.separate_batch SONGS -o OUT -p {published.name}\n\n"
        f"or with Spleeter and the `config.json` of the tarball:\n\n"
        f"    {variables} spleeter separate -p config.json -o OUT SONG"
    )
