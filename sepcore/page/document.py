"""A whole HTML document in one file: styles and scripts stand in it, and nothing is fetched from anywhere."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

_ASSETS = Path(__file__).parent / "assets"
_STYLES = ("page.css", "table.css", "player.css", "songs.css")


def text(value: object) -> str:
    """Any text as HTML shows it, in an element and in a quoted attribute: a name of a song is no markup."""
    return escape(str(value), quote=True)


def build_document(
    title: str, body: str, *, scripts: Sequence[str] = (), facts: Mapping[str, object] | None = None
) -> str:
    """An HTML document that needs no other file.

    Its content security policy lets the browser fetch nothing and run the given scripts only: markup that came in with
    a name would stay dead even if it had not been escaped.

    Args:
        title: Of the window, plain text.
        body: What the page shows, as HTML.
        scripts: Files of ``sepcore/page/assets`` that the page needs, e.g. `player.PLAYER_SCRIPTS`; together they are
            one module, which runs after the page is read.
        facts: What the page tells to programs that read it, as ``<meta name=… content=…>`` near its start.

    Returns:
        The document; the same arguments give the same text.
    """
    module = "\n".join(map(_asset, scripts))
    policy = "; ".join(
        (
            "default-src 'none'",
            "img-src data:",
            "style-src 'unsafe-inline'",
            f"script-src {_hash(module)}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    return "\n".join(
        (
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            *(f'<meta name="{text(name)}" content="{text(value)}">' for name, value in (facts or {}).items()),
            f"<title>{text(title)}</title>",
            # Without an icon of its own a page lets the browser ask for one.
            '<link rel="icon" href="data:,">',
            *(f"<style>\n{_asset(name)}</style>" for name in _STYLES),
            "</head>",
            "<body>",
            body,
            f'<script type="module">{module}</script>',
            "</body>",
            "</html>",
            "",
        )
    )


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text("utf-8")


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
