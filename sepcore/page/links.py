"""The way from one page to another file of the same folder tree."""

import os
from pathlib import Path
from urllib.parse import quote


def relative_address(target: Path, page: Path) -> str:
    """What a link of one page says to lead to another file, wherever the tree that holds both is moved.

    Args:
        target: The file that it leads to; its name may have any characters.
        page: The file of the page with the link.

    Returns:
        A relative URL of ASCII characters, to be escaped as any text where it stands in HTML.
    """
    # A name is bytes to the system, and so it is to a browser: one that is not UTF-8 is found all the same.
    way = os.path.relpath(target.absolute(), page.absolute().parent)
    return "/".join(quote(os.fsencode(part), safe="") for part in Path(way).parts)


def shown_name(name: str) -> str:
    """A file's name as a page can show it: what is not UTF-8 in it becomes a replacement character."""
    return os.fsencode(name).decode("utf-8", "replace")
