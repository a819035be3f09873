import threading

import pytest

from sepcore.system.ordered_map import ordered_map


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
