"""What the panels of a page are made of: controls that forward to it, and what they may ask of it."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import viser

from utils.session.answers import Answers
from utils.session.journal import Note
from utils.session.session import Session
from utils.viewer.studio import Studio
from utils.viewer.workspace import LoadedMesh, View, Workspace


class Actions(Protocol):
    """What panels may do with their page, which does it on its own thread.

    ready  whether it shows a mesh already; before, nothing of a person reaches the panels
    """

    client: viser.ClientHandle
    studio: Studio
    view: View

    @property
    def ready(self) -> bool: ...
    @property
    def workspace(self) -> Workspace: ...
    @property
    def loaded(self) -> LoadedMesh: ...
    @property
    def session(self) -> Session: ...
    def post(self, task: Callable[[], object], key: str = "") -> None:
        """Do this after everything before it; of tasks with the same key that wait, only the last is done."""

    def do(self, operation: Callable[[Session], object]) -> None:
        """Change the session and show it."""

    def refresh(self) -> None:
        """Show the session as it is now."""

    def say(self, text: str, error: bool = False, seconds: float = 8.0) -> None:
        """A message in the corner of the page."""

    def waiting(self, title: str, text: str) -> AbstractContextManager[None]:
        """Says that something takes a moment, while it does."""
        ...

    def mesh_arrived(self) -> None:
        """The tab has the mesh that it was sent."""

    def await_answers(self, final: bool = False) -> None:
        """Until something answers, or (`final`) what the command line says does; UserError where nothing can."""

    def choose_rung(self, rung: int) -> None:
        """Select the answer that is so many steps larger than the default one."""

    def made_ready(self, kind: str) -> Answers:
        """The answers of a kind of segmenter; says that it takes a moment where it does."""
        ...

    def answer_with(self, answers: Answers) -> None:
        """Ask the current clicks, and those to come, of another segmenter; parts stay. UserError if it cannot."""

    def open(self, loaded: LoadedMesh, session: Session | None = None) -> None:
        """Show another mesh, or another session of this one."""

    def open_file(self, path: Path, uploaded: bool = False, then: Callable[[], object] = bool) -> None:
        """Show another mesh as soon as it is read; uploaded: forget the file if it is no mesh; then: do this."""

    def choose_part(self, part_id: int) -> None:
        """Show which part of the list is meant."""

    def mark(self, choices: list[str]) -> None:
        """Show which choices of groups of buttons hold."""

    def refresh_panels(self) -> None:
        """Make the controls say what holds."""

    def look(self, view: str) -> None:
        """Move the camera."""

    def go_on(self, note: Note) -> None:
        """Show work that was kept."""

    def start_anew(self) -> None:
        """An empty session of this mesh; what is there is kept."""

    def show_file_colors(self) -> None:
        """The colours of the file under those of the parts, or not."""

    def set_dark(self, dark: bool) -> None:
        """Dark colours, or light ones."""

    def set_brush(self, mode: str) -> None:
        """ "add", "erase", or "" for none."""


class Panel:
    """Some of the controls of a page."""

    def __init__(self, page: Actions) -> None:
        self.page, self.gui = page, page.client.gui

    def on(self, handle: Any, then: Callable[[Any], object], last_only: bool = False) -> None:
        """Call `then` with the control's new value when the person changes it, not when we do."""
        key = handle._impl.uuid if last_only else ""
        if isinstance(getattr(handle, "value", None), bool):
            _remember(_heard, handle._impl.uuid, handle.value)

        async def forward(event: Any) -> None:
            value = event.target.value
            if event.client is not None:
                if isinstance(value, bool):
                    _remember(_heard, handle._impl.uuid, value)
                self._post(lambda: then(value), key)

        if isinstance(handle, viser.GuiButtonGroupHandle):
            handle.on_click(forward)
        elif isinstance(handle, viser.GuiUploadButtonHandle):
            handle.on_upload(forward)
        else:
            handle.on_update(forward)

    def press(self, label: str, icon: Any, then: Callable[[], object], color: Any = "gray", **how: Any) -> Any:
        """A button that calls `then` when the person presses it."""
        button = self.gui.add_button(label, icon=icon, color=color, **how)

        async def forward(event: Any) -> None:
            if event.client is not None:
                self._post(then)

        button.on_click(forward)
        return button

    def key(self, label: str, hotkey: Any, modifier: Any, then: Callable[[], object]) -> None:
        """A keyboard shortcut, also in the list of commands."""

        async def forward(event: Any) -> None:
            self._post(then)

        self.gui.add_command(label, hotkey=hotkey, modifier=modifier).on_trigger(forward)

    def confirm(self, title: str, text: str, yes: str, then: Callable[[], object]) -> None:
        """Ask before something is done that replaces what is there."""
        modal = self.gui.add_modal(title)

        def agreed() -> None:
            modal.close()
            then()

        with modal:
            self.gui.add_html(paragraph(text))
            self.press(yes, None, agreed, color=None)
            self.press("Cancel", None, modal.close)

    def _post(self, then: Callable[[], object], key: str = "") -> None:
        self.page.post(lambda: then() if self.page.ready else None, key)


CROSSING = 2.0  # seconds in which what we say and what the person does may pass each other on the way
REMEMBERED = 5000
_said: OrderedDict[str, float] = OrderedDict()  # when we last set a control, by its id; the latest ones
_heard: OrderedDict[str, bool] = OrderedDict()  # of switches: what we set them to, or heard that the person did


def assign(handle: Any, prop: str, value: Any) -> None:
    """Assign what is new only: nothing is sent otherwise.

    A switch that the person has changed and we have not heard of yet stays: else what they want would be lost. But
    where we set a control a moment ago, the person's change of it may have crossed ours on the way: then the page
    shows ours, while we hold theirs. So it is said again.
    """
    held, uuid = getattr(handle, prop), handle._impl.uuid
    if held != value:
        if prop == "value" and held != _heard.get(uuid, held):
            return
        setattr(handle, prop, value)
        if prop == "value":
            _remember(_said, uuid, time.monotonic())
            if uuid in _heard:
                _heard[uuid] = value
    elif prop == "value" and time.monotonic() - _said.pop(uuid, -CROSSING) < CROSSING:
        handle._queue_update(prop, value)


def _remember(held: OrderedDict[str, Any], key: str, value: Any) -> None:
    held[key] = value
    while len(held) > REMEMBERED:
        held.popitem(last=False)


def offer(dropdown: Any, options: list[str], none: str) -> None:
    """Let a person choose between `options`; where there are none it says so."""
    assign(dropdown, "options", tuple(options) or (none,))


def paragraph(text: str) -> str:
    return f"<div style='padding:.4em .9em .2em;font-size:.85em;line-height:1.45'>{text}</div>"


def small(text: str) -> str:
    return f"<div style='padding:0 .9em;font-size:.78em;line-height:1.4;opacity:.85'>{text}</div>" if text else ""
