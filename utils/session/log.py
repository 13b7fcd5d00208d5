"""Steps that are undone, logged as plain values, and repeated from a log."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, cast

import numpy as np

from utils.errors import UserError
from utils.session.history import History
from utils.session.state import State

P = ParamSpec("P")
_OPERATIONS: dict[str, Callable[..., bool]] = {}


def operation(
    merge: str | None = None,
) -> Callable[[Callable[Concatenate[Any, P], State | None]], Callable[Concatenate[Any, P], bool]]:
    """Marks a method that returns the next state from JSON values: it becomes one undoable, logged step.

    merge: steps of this kind that follow each other are undone together. A method that returns None changed nothing
    and leaves no trace.
    """

    def decorate(method: Callable[Concatenate[Any, P], State | None]) -> Callable[Concatenate[Any, P], bool]:
        signature, plain = inspect.signature(method), cast("Callable[..., State | None]", method)

        @functools.wraps(method)
        def perform(self: Any, *args: P.args, **kwargs: P.kwargs) -> bool:
            values = {
                key: value.item() if isinstance(value, np.generic) else value
                for key, value in list(signature.bind(self, *args, **kwargs).arguments.items())[1:]
            }
            state = plain(self, **values)
            if state is None:
                return False
            self._history.push(state, merge)
            self.log.append({"op": method.__name__, **values})
            return True

        _OPERATIONS[method.__name__] = perform
        return perform

    return decorate


class Logged:
    """States one after another, and the operations that led to them.

    log  one dict an operation: "op" and its arguments
    """

    def __init__(self, state: State) -> None:
        self.log: list[dict[str, Any]] = []
        self._history = History(state)
        # What a log may say besides operations, by name.
        self._entries: dict[str, Callable[..., bool]] = {
            "undo": self.undo,
            "redo": self.redo,
            "reopened": self._history.pause,
        }

    @property
    def state(self) -> State:
        return self._history.current

    @property
    def steps(self) -> tuple[list[State], State, list[State]]:
        """See `History.steps`."""
        return self._history.steps

    def undo(self) -> bool:
        """Take back the last step; nothing happens if there is none."""
        return self._travel("undo")

    def redo(self) -> bool:
        """Do again what was undone last; nothing happens if there is nothing."""
        return self._travel("redo")

    def _travel(self, direction: str) -> bool:
        moved = getattr(self._history, direction)()
        if moved:
            self.log.append({"op": direction})
        return moved

    def perform(self, entry: dict[str, Any]) -> bool:
        """Do what one entry of a log says; UserError if it is not such an entry."""
        if not isinstance(entry, dict) or not isinstance(entry.get("op"), str):
            raise UserError("the log has an entry that is no operation")
        name, values = entry["op"], {key: value for key, value in entry.items() if key != "op"}
        try:
            if name in _OPERATIONS:
                return _OPERATIONS[name](self, **values)
            if name not in self._entries:
                raise UserError(f"the log has an unknown operation '{name[:40]}'")
            return self._entries[name](**values)
        except (TypeError, ValueError) as error:
            raise UserError(f"the log has a damaged '{name[:40]}' entry: {error}") from error
