"""What one tab is asked to do, done on one thread in the order in which it was asked."""

from __future__ import annotations

import queue
import sys
import threading
import traceback
from collections.abc import Callable

from utils.errors import UserError


class Tasks:
    """A thread with a queue.

    after  is called after every task
    fail   hears why a task could not be done
    """

    def __init__(self, after: Callable[[], object], fail: Callable[[str], object]) -> None:
        self._after, self._fail, self.closed = after, fail, False
        self._waiting: queue.Queue[tuple[str, Callable[[], object]] | None] = queue.Queue()
        self._latest: dict[str, Callable[[], object]] = {}
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """What is being done ends; what waits is not done any more."""
        self.closed = True
        self._waiting.put(None)

    def post(self, task: Callable[[], object], key: str = "") -> None:
        """Do this after everything before it; of tasks with the same key that wait, only the last is done."""
        if key:
            self._latest[key] = task
        self._waiting.put((key, task))

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            key, task = item
            if self.closed:
                return
            if key and self._latest.get(key) is not task:
                continue
            for step in (task, self._after):
                try:
                    step()
                except UserError as error:
                    self._fail(str(error))
                except Exception as error:  # a person's work must not end with a fault of ours: say it and go on
                    if self.closed:
                        return
                    traceback.print_exc(file=sys.stderr)
                    what = f"{type(error).__name__}: {error}"
                    self._fail(f"That did not work ({what}). Your work is kept; see the terminal.")
