"""What is put into a priority executor is called in the order of its ranks, and cancelled when it is closed before."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, wait

import pytest

from mlwf.engine.scheduling import PriorityExecutor


def occupied(executor):
    """Keep the only thread of an executor at work until the event is set."""
    begun, go = threading.Event(), threading.Event()

    def work():
        begun.set()
        go.wait(9)

    executor.put((0,), work)
    begun.wait(9)
    return go


def test_the_lowest_rank_is_done_first_and_of_equals_the_first_put():
    executor, done = PriorityExecutor(1), []
    go = occupied(executor)
    futures = [
        executor.put(rank, lambda name=name: done.append(name))
        for rank, name in [((2, 0), "late"), ((1, -1), "small"), ((1, -5), "large"), ((1, -5), "as large")]
    ]
    # One is being done, and the others wait.
    assert len(executor) == 5
    go.set()
    for future in futures:
        future.result(9)
    assert done == ["large", "as large", "small", "late"]
    executor.close()


def test_what_fails_raises_for_who_waits_and_not_for_others():
    executor = PriorityExecutor(2)
    bad, good = executor.put((1,), lambda: 1 / 0), executor.put((2,), lambda: "done")
    with pytest.raises(ZeroDivisionError):
        bad.result(9)
    assert good.result(9) == "done"
    executor.close()


def test_closing_cancels_what_has_not_begun():
    executor = PriorityExecutor(1)
    go = occupied(executor)
    waiting = executor.put((1,), lambda: "never")
    executor.close(wait=False)
    with pytest.raises(CancelledError):
        waiting.result(9)
    # What waits for several futures ends too.
    assert wait([waiting], 9).done == {waiting}
    go.set()
