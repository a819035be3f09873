import errno
import os
import threading

from sepcore.errors import ConfigError
from sepcore.system.output_folder import check_writable
from tests.raised import raises


def test_many_who_look_at_once_do_not_see_each_other_and_leave_nothing(tmp_path):
    everyone, refused = threading.Barrier(8), []

    def look():
        everyone.wait()
        for _ in range(100):
            try:
                check_writable(tmp_path / "out", "-o")
            except ConfigError as error:
                refused.append(str(error))

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == []
    assert list((tmp_path / "out").iterdir()) == []


def test_a_place_that_cannot_be_written_to_is_one_line_with_the_option(tmp_path):
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "out"
    with raises(ConfigError, os.strerror(errno.ENOTDIR), path=folder, hint="-o") as error:
        check_writable(folder, "-o")
    assert error.value.errno == errno.ENOTDIR
    assert "\n" not in str(error.value)
