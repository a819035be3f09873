import pytest

from sepcore.system.printable import printable


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Ænima – 東京\u3000[live] \N{NO-BREAK SPACE}.wav", "Ænima – 東京\u3000[live] \N{NO-BREAK SPACE}.wav"),
        ("a\nb\r\tc.wav", "a\\nb\\r\\tc.wav"),
        ("\udce9\udcff.wav", "\\udce9\\udcff.wav"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("one\u2028two\x85", "one\\u2028two\\x85"),
    ],
)
def test_any_name_is_one_line_that_can_be_encoded_and_letters_stay(name, shown):
    assert printable(name) == shown
    assert len(printable(name).encode().decode().splitlines()) == 1
