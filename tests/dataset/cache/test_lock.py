import subprocess
import sys

from sepcore.dataset.cache.lock import lock_cache

KILLED = """
import os, pathlib, sys; from sepcore.dataset.cache.lock import lock_cache
with lock_cache(pathlib.Path(sys.argv[1])): os._exit(9)
"""
HELD = """
import pathlib, sys; from sepcore.dataset.cache.lock import lock_cache
with lock_cache(pathlib.Path(sys.argv[1])): print("held", flush=True); sys.stdin.read()
print("let go")
"""


def test_a_process_that_is_killed_lets_go(tmp_path):
    assert subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False).returncode == 9
    with lock_cache(tmp_path):
        pass


def test_who_comes_second_waits_for_the_first(tmp_path):
    command = [sys.executable, "-c", HELD, str(tmp_path / "cache")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as first:
        assert first.stdout.readline() == "held\n"
        with subprocess.Popen(command, **pipes) as second:
            assert f"caching songs in {tmp_path / 'cache'}" in second.stderr.readline()
            first.stdin.close()
            assert second.stdout.readline() == "held\n"
            second.stdin.close()
