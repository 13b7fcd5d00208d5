"""Undo and redo over immutable states."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

S = TypeVar("S")


class History(Generic[S]):
    """The states of a session one after another; never shorter than one, without limit, and never failing.

    States must not be changed after they were pushed: they are kept as they are.
    """

    def __init__(self, state: S) -> None:
        self.restart(state)

    @property
    def current(self) -> S:
        return self._current

    def push(self, state: S, merge: Hashable | None = None) -> None:
        """Make `state` the current one; what was undone before is forgotten.

        Pushes that follow each other under the same `merge` are one step: dragging a slider is undone at once.
        """
        if not self.merges_with(merge):
            self._past.append(self._current)
        self._current = state
        self._future.clear()
        self._merge = merge

    def merges_with(self, merge: Hashable) -> bool:
        """Would a push under `merge` continue the current step?"""
        return merge is not None and merge == self._merge

    def restart(self, state: S, past: Iterable[S] = (), future: Iterable[S] = ()) -> None:
        """Begin anew with a state, and what undo and redo lead to from it, the next one last."""
        self._past = list(past)
        self._current = state
        self._future = list(future)
        self._merge: Hashable | None = None

    @property
    def steps(self) -> tuple[list[S], S, list[S]]:
        """The states that undo leads to (the next one last), the current one, and those that redo leads to."""
        return list(self._past), self._current, list(self._future)

    def pause(self) -> bool:
        """The next push is a step of its own, whatever it merges with. Returns False: nothing changed."""
        self._merge = None
        return False

    def undo(self) -> bool:
        """Take back one step. Returns whether there was one."""
        return self._move(self._past, self._future)

    def redo(self) -> bool:
        """Do again what was undone last. Returns whether there was anything."""
        return self._move(self._future, self._past)

    def _move(self, source: list[S], target: list[S]) -> bool:
        self._merge = None
        if not source:
            return False
        target.append(self._current)
        self._current = source.pop()
        return True
