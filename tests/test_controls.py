"""What a person sets on the page is not undone by what the page says at that moment."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from utils.viewer.controls import Panel, assign


class Checkbox:
    """A control as viser holds it: a message sets the value at once, callbacks run later."""

    def __init__(self, value: bool) -> None:
        self.value, self._impl, self.updates = value, SimpleNamespace(uuid=f"control {id(self)}"), []

    def on_update(self, callback) -> None:
        self.callback = callback

    def _queue_update(self, prop: str, value: bool) -> None:
        self.updates.append(value)

    def hear(self) -> None:
        asyncio.run(self.callback(SimpleNamespace(target=self, client="a tab")))


def test_a_change_that_was_not_heard_yet_is_not_overwritten():
    box, done = Checkbox(False), []
    panel = Panel(
        SimpleNamespace(client=SimpleNamespace(gui=None), ready=True, post=lambda task, key="": done.append(task))
    )
    wanted = []
    panel.on(box, wanted.append)
    box.value = True  # the person's message has come, its callback has not run
    assign(box, "value", False)
    box.hear()
    done[0]()
    assert wanted == [True] and box.value
    assign(box, "value", False)  # heard: now we may say otherwise
    assert not box.value
    assign(box, "value", True)
    assert box.value
