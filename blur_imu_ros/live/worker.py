"""One thread that always works on the newest item: nothing queues up behind a slow estimate."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

Item = TypeVar("Item")


class LatestWorker(Generic[Item]):
    """Call `work(item)` in a thread of its own, for the newest item submitted; older ones are handed back.

    `work` may return for how many seconds to wait for the next item; when none came, or the thread ends, it is called with None.

    `begin` is called there first and waited for, since what a thread allocates is kept for that thread; what it raises is
    raised here.
    """

    def __init__(
        self, work: Callable[[Item | None], float | None], begin: Callable[[], None] = lambda: None
    ) -> None:
        self._work = work
        self._begin = begin
        self._begun: Future[None] = Future()
        self._waiting: Item | None = None
        self._stopping = False
        self._condition = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="estimate", daemon=True)
        self._thread.start()
        self._begun.result()

    def submit(self, item: Item) -> Item | None:
        """Make `item` the next to be worked on; return the one it replaces, if any."""
        with self._condition:
            replaced, self._waiting = self._waiting, item
            self._condition.notify()
        return replaced

    @property
    def busy(self) -> bool:
        """Whether the thread lives; after `stop`, that the item in work took longer than was waited for."""
        return self._thread.is_alive()

    def stop(self, timeout_s: float = 1.0) -> Item | None:
        """Let the item in work finish, end the thread, and return the item that will not be worked on, if any."""
        with self._condition:
            self._stopping = True
            left, self._waiting = self._waiting, None
            self._condition.notify()
        self._thread.join(timeout_s)
        return left

    def _run(self) -> None:
        try:
            self._begin()
        except BaseException as error:
            self._begun.set_exception(error)
            return
        self._begun.set_result(None)
        patience_s: float | None = None
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._stopping or self._waiting is not None, patience_s)
                ends = self._stopping
                item, self._waiting = self._waiting, None
            if not ends or patience_s is not None:
                patience_s = self._work(item)
            if ends:
                return
