"""Names under which MLflow takes metrics and parameters, whatever the instruments are called."""

import hashlib
import posixpath
import re
import unicodedata

# MLflow's own rule, letters and digits of every alphabet among them; and the width of its column.
_ILLEGAL = re.compile(r"[^\w\-./: ]")
_LONGEST = 250


def mlflow_name(name: str) -> str:
    """A name as MLflow takes it: itself, if it does; else a readable one, and a hash, so that no two become the same.

    Symbols are written out: ``test_SDR_🎸`` becomes ``test_SDR_guitar-`` and eight hex digits.
    """
    legal = _ILLEGAL.sub(_in_words, unicodedata.normalize("NFC", name))
    if posixpath.normpath(legal) != legal or legal.startswith(("/", "..")):  # it would be another path
        legal = f"_{legal.replace('/', '_')}"
    if legal == name and len(name) <= _LONGEST:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{legal[: _LONGEST - len(digest) - 1]}-{digest}"


def _in_words(found: re.Match[str]) -> str:
    words = unicodedata.name(found[0], "").lower().replace(" ", "_")
    apart = found.start() and found.string[found.start() - 1] not in "_ /"
    return f"_{words}" if apart else words or "_"
