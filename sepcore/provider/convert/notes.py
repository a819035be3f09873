"""What a conversion decides without being told, and what it leaves out, for the user and for the model's card."""

from sepcore.provider.convert.msst_yaml import ModelYaml
from sepcore.provider.convert.states import AUTHORS_STATE


def conversion_notes(
    yaml: ModelYaml | None, state: str, standardize: bool | None, *, has_instruments: bool
) -> tuple[str, ...]:
    """A line for each.

    Args:
        yaml: None if there is none.
        state: Key of the checkpoint's state dict, which tells whose program has written it.
        standardize: What the user has said of it; None: nothing.
        has_instruments: Whether the user has named the stems.
    """
    notes = []
    if yaml is None:
        stems = "" if has_instruments else ", the order of the stems"
        notes.append(f"guessed: band_SR, band_stride{stems} and the STFT, as the author has them; give --config")
    if standardize is not None:
        notes.append(f"standardize: {str(standardize).lower()}, as given")
    elif state == AUTHORS_STATE:
        notes.append(
            "standardize: true, as in the author's code since 2024-09-24; for an older checkpoint give "
            "--no-standardize, or model.params.standardize=false with --set"
        )
    else:
        notes.append(
            "standardize: false, as in MSST; for the author's code since 2024-09-24 give --standardize, or "
            "model.params.standardize=true with --set"
        )
    if yaml and yaml.levelled_by:
        notes.append(f"not done here: the YAML asks for songs to be brought to one level first ({yaml.levelled_by})")
    return tuple(notes)
