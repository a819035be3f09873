import re
from html.parser import HTMLParser

import pytest

from sepcore.page.document import build_document, text
from sepcore.page.player import PLAYER_SCRIPTS
from sepcore.page.table import SORTING_SCRIPT

# Elements that HTML closes by itself.
VOID = {"meta", "link", "img", "input", "br"}


class Outline(HTMLParser):
    """Fails where an element is not closed as it was opened; collects what refers to a file."""

    def __init__(self, html):
        super().__init__()
        self.open, self.references = [], []
        self.feed(html)
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.references += [value for name, value in attributes if name in ("src", "href", "srcset", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("scripts", [(), (*PLAYER_SCRIPTS, SORTING_SCRIPT)])
def test_a_document_refers_to_nothing_outside_itself(scripts):
    document = build_document("A title", "<p>hello</p>", scripts=scripts)
    assert Outline(document).references == ["data:,"]
    assert not re.search(r"https?:|@import|url\(", document)
    assert '<html lang="en">' in document
    assert 'name="viewport"' in document
    assert "prefers-color-scheme: dark" in document


def test_the_same_content_gives_the_same_document():
    assert build_document("a", "b", scripts=PLAYER_SCRIPTS) == build_document("a", "b", scripts=PLAYER_SCRIPTS)


def test_a_title_is_text():
    assert "<title>&lt;/title&gt;&lt;b&gt;</title>" in build_document("</title><b>", "")


def test_text_is_safe_in_elements_and_in_attributes():
    assert text("<a b=\"c\" d='e'>&") == "&lt;a b=&quot;c&quot; d=&#x27;e&#x27;&gt;&amp;"
    assert text(1.5) == "1.5"


def test_markup_that_came_in_unescaped_runs_nothing(open_page, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(build_document("t", "<p>before</p><script>document.title = 'ran'</script>"), "utf-8")
    page = open_page(path)
    assert page.title() == "t"
    assert "Content Security Policy" in open_page.complaints.pop()
