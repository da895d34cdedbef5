"""The worker works on the newest item only, and hands back what it will not work on."""

import queue
import threading
import time

import pytest

from blur_imu_ros.live.worker import LatestWorker

PATIENCE_S = 20


class Slow:
    """Work that waits to be let go, and then for the next item as long as it is told to."""

    def __init__(self, patience_s=None):
        self.patience_s = patience_s
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.done = []

    def __call__(self, item):
        self.begun.release()
        assert self.go.acquire(timeout=PATIENCE_S)
        self.done.append(item)
        return self.patience_s


def test_only_the_newest_waits():
    work = Slow()
    worker = LatestWorker(work)
    assert worker.submit(1) is None
    assert work.begun.acquire(timeout=PATIENCE_S)
    assert worker.submit(2) is None
    assert worker.submit(3) == 2
    assert worker.submit(4) == 3
    work.go.release(2)
    assert work.begun.acquire(timeout=PATIENCE_S)
    assert worker.stop(PATIENCE_S) is None
    assert work.done == [1, 4]


def test_stopping_hands_back_what_waits_and_ends_the_thread():
    before = threading.active_count()
    work = Slow()
    worker = LatestWorker(work)
    worker.submit(1)
    assert work.begun.acquire(timeout=PATIENCE_S)
    worker.submit(2)
    assert worker.stop(timeout_s=0.0) == 2
    assert worker.busy
    work.go.release()
    for _ in range(200):
        if threading.active_count() == before:
            break
        time.sleep(0.1)
    assert threading.active_count() == before
    assert not worker.busy
    assert work.done == [1]


def test_it_is_called_when_nothing_came_in_time():
    calls: queue.Queue = queue.Queue()

    def work(item):
        calls.put(item)
        return 0.05 if item == "patient" else None

    worker = LatestWorker(work)
    worker.submit("patient")
    assert [calls.get(timeout=PATIENCE_S) for _ in range(2)] == ["patient", None]
    worker.submit("done")
    assert calls.get(timeout=PATIENCE_S) == "done"
    with pytest.raises(queue.Empty):
        calls.get(timeout=0.2)
    worker.stop(PATIENCE_S)


def test_what_waits_for_the_next_item_is_ended_by_the_thread_itself():
    calls: queue.Queue = queue.Queue()

    def work(item):
        calls.put(item)
        return 60.0

    worker = LatestWorker(work)
    worker.submit("waits")
    assert calls.get(timeout=PATIENCE_S) == "waits"
    assert worker.stop(PATIENCE_S) is None
    assert calls.get_nowait() is None
    assert calls.empty()


def test_what_is_handed_back_is_not_worked_on_even_where_a_next_was_waited_for():
    work = Slow(patience_s=60.0)
    worker = LatestWorker(work)
    worker.submit(1)
    assert work.begun.acquire(timeout=PATIENCE_S)
    worker.submit(2)
    assert worker.stop(timeout_s=0.0) == 2
    work.go.release(2)
    worker.stop(PATIENCE_S)
    assert work.done == [1, None]


def test_stopping_an_idle_worker_returns_at_once():
    assert LatestWorker(lambda item: None).stop(PATIENCE_S) is None


def test_begins_in_its_own_thread_before_anything_else() -> None:
    begun: list[int] = []
    worker: LatestWorker[int] = LatestWorker(
        lambda item: begun.append(threading.get_ident()), lambda: begun.append(threading.get_ident())
    )
    assert len(begun) == 1
    assert begun[0] != threading.get_ident()
    worker.submit(1)
    deadline = time.monotonic() + 5
    while len(begun) < 2 and time.monotonic() < deadline:
        time.sleep(0.001)
    worker.stop()
    assert begun == [begun[0]] * 2


def test_a_failed_beginning_is_raised() -> None:
    def fail() -> None:
        raise ValueError("no memory")

    with pytest.raises(ValueError, match="no memory"):
        LatestWorker(lambda item: None, fail)
