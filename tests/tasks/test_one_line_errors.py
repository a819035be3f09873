"""What is logged: no secrets, and names in one line, whatever else is in it."""

import logging

import pytest

from tasks import one_line_errors
from tasks.one_line_errors import printable_names


@pytest.fixture
def log(caplog, monkeypatch):
    """``log(message, *args)`` gives the line that a handler writes."""
    factory = logging.getLogRecordFactory()
    monkeypatch.setattr(logging, "_logRecordFactory", logging.LogRecord)
    one_line_errors.install()

    def line(message, *args):
        logging.getLogger("tests").warning(message, *args)
        return caplog.records[-1].getMessage()

    yield line
    logging.setLogRecordFactory(factory)


@pytest.mark.parametrize("name", ["live:/b?k=v\nWARNING all songs deleted.mp3", "live:/me:p@a\x1b[2J.mp3"])
def test_a_name_beside_an_address_starts_no_line_and_sends_no_escape(log, name):
    line = log("%s: left out", name)
    assert line.isprintable()
    assert line.endswith(".mp3: left out")


def test_what_hides_nothing_keeps_its_arguments_for_the_handler(log):
    assert log("%s: %d songs", "a\nb", 3) == "a\nb: 3 songs"
    assert printable_names(("a\nb", 3)) == ("a\\nb", 3)
