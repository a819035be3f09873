import threading
import time

import pytest

from sepcore.system.threads import num_cores, ordered_map, prefetched, quota_cores


@pytest.mark.parametrize(
    ("content", "cores"),
    [
        ("max 100000\n", None),
        ("200000 100000\n", 2),
        ("150000 100000", 2),
        ("5000 100000", 1),
        ("", None),
        ("1 0", None),
    ],
)
def test_a_containers_quota_counts_in_whole_cores(content, cores, tmp_path):
    (tmp_path / "cpu.max").write_text(content)
    assert quota_cores(tmp_path / "cpu.max") == cores


def test_without_control_groups_there_is_no_quota_and_always_a_core(tmp_path):
    assert quota_cores(tmp_path / "nothing") is None
    assert num_cores() >= 1


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_the_order_of_the_items_whichever_is_ready_first(threads):
    late = threading.Event()

    def work(item):
        if item == 1 and threads > 1:
            assert late.wait(10)
        late.set() if item == 2 else None
        return item * 2

    assert list(ordered_map(work, range(50), threads=threads)) == list(range(0, 100, 2))


@pytest.mark.parametrize("threads", [1, 3])
def test_a_stream_is_read_only_a_few_items_ahead(threads):
    taken = []
    results = ordered_map(lambda item: item, (taken.append(item) or item for item in range(10**9)), threads=threads)
    assert [next(results) for _ in range(5)] == list(range(5))
    assert len(taken) <= 5 + threads + 1
    results.close()


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_comes_where_its_result_would(threads):
    results = ordered_map(lambda item: 1 // (item - 2), range(10), threads=threads)
    assert [next(results), next(results)] == [-1, -1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_no_thread_is_left_when_a_reader_stops_early():
    before = threading.active_count()
    results = ordered_map(lambda item: item, range(1000), threads=3)
    next(results)
    results.close()
    assert threading.active_count() == before


def test_items_come_in_their_order_and_the_generator_is_closed():
    closed = []

    def numbers():
        try:
            yield from range(20)
        finally:
            closed.append(threading.current_thread())

    with prefetched(numbers(), depth=2) as items:
        assert list(items) == list(range(20))
        assert list(items) == []
    assert closed[0] is not threading.current_thread()


def test_reading_starts_before_anything_is_asked_for_and_stays_so_far_ahead():
    taken = []
    third = threading.Event()

    def numbers():
        for number in range(1000):
            taken.append(number)
            if number == 2:
                third.set()
            yield number

    with prefetched(numbers(), depth=2) as items:
        assert third.wait(10)
        assert next(items) == 0
        time.sleep(0.05)
        assert len(taken) <= 5


def test_an_error_comes_where_the_next_item_would():
    def broken():
        yield 1
        raise OSError("gone")

    with prefetched(broken(), depth=3) as items:
        assert next(items) == 1
        with pytest.raises(OSError, match="gone"):
            next(items)


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_no_thread_is_left_when_a_reader_stops_early_or_fails(taken):
    def fail():
        with prefetched((number for number in range(10**9)), depth=2) as items:
            for _ in range(taken):
                next(items)
            raise ZeroDivisionError

    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        fail()
    assert threading.active_count() == before
