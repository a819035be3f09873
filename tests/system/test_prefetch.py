import threading
import time

import pytest

from sepcore.system.prefetch import prefetched


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
