import base64

import pytest

from sepcore.page.embedded import EmbeddedFiles


@pytest.mark.parametrize("num_bytes", [0, 1, 3 << 18, (3 << 18) + 1, 2_000_000])
def test_a_file_of_any_length_stands_in_its_place_as_one_base64(num_bytes, tmp_path):
    content = bytes(number % 251 for number in range(num_bytes))
    (tmp_path / "file").write_bytes(content)
    embedded = EmbeddedFiles()
    document = f"before é {embedded.place(tmp_path / 'file')} after"
    written = b"".join(embedded.pieces(document)).decode()
    assert written == f"before é {base64.b64encode(content).decode()} after"


def test_files_stand_where_they_were_placed_in_whatever_order(tmp_path):
    embedded, places = EmbeddedFiles(), []
    for number in range(12):
        (tmp_path / f"{number}").write_bytes(bytes([number]))
        places.append(embedded.place(tmp_path / f"{number}"))
    written = b"".join(embedded.pieces(",".join(reversed(places)))).decode()
    assert [base64.b64decode(part)[0] for part in written.split(",")] == list(range(11, -1, -1))


def test_text_that_looks_like_a_place_stays_text():
    embedded = EmbeddedFiles()
    assert b"".join(embedded.pieces("[file 0 0]")) == b"[file 0 0]"
