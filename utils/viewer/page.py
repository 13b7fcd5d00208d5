"""One browser tab: what the person does goes to the session, and what the session holds is shown."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import viser

from utils.errors import UserError
from utils.session.answers import Answers
from utils.session.journal import Note
from utils.session.session import Session
from utils.viewer.controls import Actions
from utils.viewer.messages import Messages
from utils.viewer.panels import SEGMENTERS, Panels
from utils.viewer.pointer import Pointer
from utils.viewer.scene import Scene, borders_of, labels_of, palette_of
from utils.viewer.studio import Studio
from utils.viewer.tasks import Tasks
from utils.viewer.workspace import LoadedMesh, View, Workspace

WATCH = 0.4  # seconds
MAX_MESSAGE = 1 << 16  # characters of a message from the page's script


class Page(Actions):
    """One client. Everything that changes state runs on one thread, in the order in which the person did it."""

    def __init__(self, studio: Studio, client: viser.ClientHandle, key: str = "") -> None:
        self.studio, self.client, self._key = studio, client, key
        self.scene = Scene(client, studio.settings.palette, studio.settings.ball_radius)
        self.view = View(studio.settings.single_click)
        self._workspace: Workspace | None = None
        self._tasks = Tasks(self._save, partial(self.say, error=True))
        self._shape_shown: Any = None
        self._built = self._unsaved = False
        self._wanted: Path | None = None  # the file that is being opened

    @property
    def ready(self) -> bool:  # not before the page's script has answered, or was waited for
        return self._workspace is not None

    @property
    def workspace(self) -> Workspace:
        if self._workspace is None:
            raise UserError("the mesh is not shown yet: wait a moment")
        return self._workspace

    @property
    def session(self) -> Session:
        return self.workspace.session

    @property
    def loaded(self) -> LoadedMesh:
        return self.workspace.loaded

    # --- life ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Called on the server's event loop: nothing here may take long."""
        self.studio.listeners.append(self._hear_of_mesh)
        self._tasks.start()
        self.post(self._install if self._key else self._build)
        threading.Thread(target=self._watch, daemon=True).start()

    def close(self) -> None:
        """The tab is gone; its workspace stays for a reload."""
        self._tasks.close()
        if self._hear_of_mesh in self.studio.listeners:
            self.studio.listeners.remove(self._hear_of_mesh)
        if self._workspace is not None and self._workspace.shown_by == self.client.client_id:
            self._workspace.shown_by = None

    def post(self, task: Callable[[], object], key: str = "") -> None:
        self._tasks.post(task, key)

    def _save(self) -> None:
        """Keep the work as it is now."""
        try:
            if self._workspace is not None and self._workspace.journal.save():
                self._unsaved = False
        except OSError as error:
            if not self._unsaved:  # say it once
                self._unsaved = True
                self.say(f"Your work is not being kept ({error.strerror}): free space, then go on.", True, 60)

    def _watch(self) -> None:
        """Shows how far the mesh is that is being made ready."""
        while not self._tasks.closed:
            time.sleep(WATCH)
            path = self._wanted or (self.loaded.mesh.path if self.ready else self.studio.settings.mesh_path)
            opening = self.studio.opening.get(Path(path).resolve()) if path else None
            if self._built:
                self.panels.show_opening(opening)

    def say(self, text: str, error: bool = False, seconds: float = 8.0) -> None:
        self.client.add_notification(
            "Not done" if error else "Done", text, auto_close_seconds=seconds, color="red" if error else "green"
        )

    @contextmanager
    def waiting(self, title: str, text: str) -> Iterator[None]:
        note = self.client.add_notification(title, text, loading=True, with_close_button=False)
        try:
            yield
        finally:
            note.remove()

    def _build(self) -> None:
        """The panels first; the mesh when the page's script has answered, or after a while without it."""
        self.panels = Panels(self)
        self.pointer = Pointer(self, self.scene, self.await_answers, self.panels.proposals.clicked)
        self._messages = Messages(self, self.scene, self.pointer.pick, self.panels.files.dropped)
        self._built = True
        if self._key:
            return
        self._install()
        timer = threading.Timer(self.studio.settings.script_wait, lambda: self.post(self._begin_without_script))
        timer.daemon = True
        timer.start()

    def _install(self) -> None:
        """Send the page's script, which answers through a hidden field."""
        field = self.client.gui.add_text("", "", visible=False)

        async def from_script(event: viser.GuiEvent) -> None:
            if event.client is not None:
                value = str(event.target.value)
                self.post(lambda: self._hear(value))

        field.on_update(from_script)
        self.scene.install(field._impl.uuid, secrets.token_hex(16))

    def _begin_without_script(self) -> None:
        if not self.ready:
            self._begin("", scripted=False)
            self.say(
                "This browser does not run the page's script: no brush, no vertex ids under the cursor, "
                "slower colours.",
                error=True,
            )

    def _begin(self, token: str, scripted: bool) -> None:
        self.scene.scripted = scripted
        if not self.ready or not self.session.log:  # a script that answers late must not undo work
            late, self._workspace = self._workspace, self.studio.workspace(token, self.client.client_id)
            if late is not None:
                late.shown_by = None
            if self.session.log:
                self.say("Your work is as you left it.", seconds=4)
        if scripted:
            self.scene.run("keepToken", self.workspace.token)
        self.look_first()
        self.show_mesh()

    def _hear(self, text: str) -> None:
        """A message of page.js, which anyone may have written."""
        try:
            message = json.loads(text) if len(text) <= MAX_MESSAGE else None
        except (ValueError, RecursionError):
            return
        if not isinstance(message, dict):
            return
        if message.get("type") == "hello" and not self.scene.scripted:
            if not self._built:
                if not secrets.compare_digest(str(message.get("key", "")).encode(), self._key.encode()):
                    self.say("This page is shared by its address alone: open the one that was printed.", True, 3600)
                    return
                self._build()
            if message.get("dark") is True:  # what the person's system shows
                self.set_dark(True)
            self._begin(str(message.get("token", "")), scripted=True)
        elif self.ready:
            self._messages.hear(message)

    # --- showing ---------------------------------------------------------------------------------

    def open_file(self, path: Path, uploaded: bool = False, then: Callable[[], object] = bool) -> None:
        """Show another mesh as soon as it is read; meanwhile this one stays. The last one that was asked for wins.

        uploaded: forget the file if it is no mesh; then: what is done when it is shown
        """
        self._wanted = path.resolve()

        def read() -> None:
            try:
                loaded = self.studio.load(path)
            except UserError as error:
                if uploaded:
                    path.unlink(missing_ok=True)
                self.post(partial(self.say, str(error), error=True))
            else:
                self.post(lambda: (self.open(loaded), then()) if self._wanted == path.resolve() else None)

        threading.Thread(target=read, daemon=True).start()

    def open(self, loaded: LoadedMesh, session: Session | None = None) -> None:
        work, self._wanted = self.workspace, None
        earlier = work.loaded
        self._save()
        if session is not None:
            work.begin(loaded, self.studio.keep(loaded, session, work.token))
        elif loaded is not work.loaded:
            work.begin(loaded, self.studio.journal(loaded, work.token, work.token))
            if self.session.log:
                self.say("Your work on this mesh is as you left it.", seconds=4)
        if work.loaded is not earlier:
            self.look_first()
        self.show_mesh()

    def go_on(self, note: Note) -> None:
        """Show work that was kept; what is shown now can be gone on with in the same way."""
        work = self.workspace
        self._save()
        work.begin(self.loaded, self.studio.go_on(self.loaded, note, work.token))
        self.show_mesh()

    def start_anew(self) -> None:
        """An empty session of this mesh."""
        self._save()
        self.workspace.begin(self.loaded, self.studio.journal(self.loaded, self.workspace.token))
        self.show_mesh()

    def made_ready(self, kind: str) -> Answers:
        if kind in self.loaded.choices:
            return self.loaded.choices[kind]
        with self.waiting("Making ready", f"{SEGMENTERS[kind]} ..."):
            return self.studio.choose(self.loaded, kind)

    def answer_with(self, answers: Answers) -> None:
        session, earlier = self.session, self.session.answers
        if answers is not earlier:
            session.use(answers)
            try:
                _ = session.selection
            except UserError:
                session.use(earlier)
                raise
        self.workspace.default = self.loaded.answers
        self.panels.mesh_changed()
        self.refresh()

    def _take_over(self) -> bool:
        """Answer with what was made ready since, unless the person chose something else; whether anything changed."""
        work, session = self.workspace, self.session
        if work.default is self.loaded.answers and (session.answers.ready or not work.default.ready):
            return False
        replaced, work.default = work.default, self.loaded.answers
        chosen = self.loaded.choices.get(session.choice, self.loaded.answers)
        if not session.log and not session.choice:
            work.begin(self.loaded, self.studio.journal(self.loaded, work.token))
        elif chosen is not session.answers:
            session.use(chosen)
            if replaced.ready and session.state.clicks:
                self.say(f"Ready: the {chosen.segmenter.label} answers your clicks from now on.")
        return True

    def _answers_changed(self, problem: str) -> None:
        if problem:
            self.say(problem, error=True, seconds=30)
        changed = self._take_over()
        self.panels.answers_changed()
        if changed:
            self.refresh()

    def await_answers(self, final: bool = False) -> None:
        there = self.loaded.done if final else self.loaded.usable
        if self.session.answers.ready and (not final or there.is_set()):
            if final:
                self._take_over()
            return
        with self.waiting("One moment", "what answers is being made ready ..."):
            while not there.wait(0.1) and not self._tasks.closed:
                pass
        if not self.loaded.answers.ready:
            raise UserError(self.loaded.problem or "nothing answers clicks yet")
        self._take_over()

    def show_mesh(self) -> None:
        """Everything anew."""
        self._shape_shown = None
        self._take_over()
        self.panels.mesh_changed()
        self.refresh()
        if not self.scene.scripted:  # else the page says when
            self.mesh_arrived()

    def mesh_arrived(self) -> None:
        """The tab has the mesh: until then nothing else keeps the processor busy."""
        self.loaded.shown.set()
        self.post(lambda: self.pointer.pick(np.zeros(3), np.ones(3)))  # builds what the first click would wait for

    def refresh(self) -> None:
        self._save()  # what is shown is kept
        session, state, selection = self.session, self.session.state, self.session.selection
        soft = selection.probability if self.view.soft else None
        with self.client.atomic():
            if self._shape_shown is not session.shape.vertices:
                self._show_shape()
            labels, marked = labels_of(session), self.view.marked_of(state.proposals)
            self.scene.show_colors(labels, palette_of(session, marked), soft, borders_of(session, labels))
            self.scene.show_clicks(state.clicks)
        self.client.flush()
        self.panels.refresh()
        self.client.flush()

    def _show_shape(self) -> None:
        session, mesh = self.session, self.loaded.mesh
        places, normals = session.shape.places(mesh), self.loaded.normals
        if places is not mesh.normalized:
            from utils.geometry.creases import corner_normals

            normals = corner_normals(session.shape.mesh(mesh))
        self.scene.show_shape(places, mesh.faces, normals)
        self.show_file_colors()
        self._shape_shown = session.shape.vertices

    # --- what panels may do ----------------------------------------------------------------------

    def set_brush(self, mode: str) -> None:
        self.view.brush = mode
        self.scene.run("setBrush", mode, self.view.brush_radius)
        self.panels.refresh()

    def show_file_colors(self) -> None:
        self.scene.show_file_colors(self.loaded.colors if self.view.colored else None)

    def set_dark(self, dark: bool) -> None:
        self.view.dark = dark
        self.scene.set_dark(dark)

    def _hear_of_mesh(self, loaded: LoadedMesh, state: str, message: str) -> None:
        """News of a mesh (`Studio.listeners`), whether or not this tab shows it; from any thread."""

        def tell() -> None:
            if self.ready and self.loaded is loaded and state == "answers":
                self._answers_changed(message)
            elif self.ready and self.loaded is loaded and state == "colors":
                self.show_file_colors()
                self.panels.refresh()
            elif self.ready and self.loaded is loaded:
                self.panels.files.refinement_changed(state, message)

        self.post(tell, key="" if state else "refinement")

    def choose_part(self, part_id: int) -> None:
        """Show which part of the list is meant; an id of none changes nothing."""
        self.panels.parts.choose(part_id)

    def choose_rung(self, rung: int) -> None:
        self.panels.ladder.choose(rung)

    def mark(self, choices: list[str]) -> None:
        self.scene.run("setMarks", choices)

    def refresh_panels(self) -> None:
        self.panels.refresh()

    def look(self, view: str) -> None:
        """Move the camera: "Fit", or one of `scene.VIEWS`."""
        if view == "Fit":
            shown = np.unique(self.loaded.mesh.faces[self.session.shown])
            self.scene.fit(self.scene.places[shown if len(shown) else slice(None)])
        else:
            self.scene.look(view, self.loaded.stands(self.view.up))

    def look_first(self) -> None:
        """As the mesh stands by itself."""
        self.view.up = self.loaded.up
        self.look("Slant")

    def do(self, operation: Callable[[Session], object]) -> None:
        if operation(self.session) is not False:
            self.refresh()
