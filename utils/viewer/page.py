"""One browser tab: what the person does goes to the session, and what the session holds is shown."""

from __future__ import annotations

import json
import math
import queue
import secrets
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import viser

from utils.errors import UserError
from utils.session.answers import Answers
from utils.session.picking import Hit, Picker, first_ball
from utils.session.session import Session
from utils.viewer.controls import Actions
from utils.viewer.panels import SEGMENTERS, Panels
from utils.viewer.scene import FIRST_PART, HIDDEN, REST, SELECTED, Scene
from utils.viewer.studio import Studio
from utils.viewer.workspace import LoadedMesh, View, Workspace, corner_normals

MAX_MESSAGE = 1 << 16  # characters of a message from the page's script
NEGATIVE_KEYS = ("cmd/ctrl", "shift", "cmd/ctrl+shift")


class Page(Actions):
    """One client. Everything that changes state runs on one thread, in the order in which the person did it."""

    def __init__(self, studio: Studio, client: viser.ClientHandle) -> None:
        self.studio, self.client = studio, client
        self.scene = Scene(client, studio.settings.palette, studio.settings.ball_radius)
        self.view = View(studio.settings.single_click)
        self.milliseconds: deque[float] = deque(maxlen=200)  # from a click to its colours on the way to the page
        self._workspace: Workspace | None = None
        self._tasks: queue.Queue[tuple[str, Callable[[], object]] | None] = queue.Queue()
        self._latest: dict[str, Callable[[], object]] = {}
        self._picker: tuple[Any, Picker] | None = None
        self._shape_shown: Any = None
        self._closed = False
        self._thread = threading.Thread(target=self._work, daemon=True)

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
        self.studio.listeners.append(self._hear_of_refinement)
        self._thread.start()
        self.post(self._build)

    def close(self) -> None:
        """The tab is gone; its workspace stays for a reload."""
        self._closed = True
        self._tasks.put(None)
        if self._hear_of_refinement in self.studio.listeners:
            self.studio.listeners.remove(self._hear_of_refinement)
        if self._workspace is not None and self._workspace.shown_by == self.client.client_id:
            self._workspace.shown_by = None

    def post(self, task: Callable[[], object], key: str = "") -> None:
        if key:
            self._latest[key] = task
        self._tasks.put((key, task))

    def _work(self) -> None:
        while (item := self._tasks.get()) is not None:
            key, task = item
            if self._closed:
                return
            if key and self._latest.get(key) is not task:
                continue
            try:
                task()
            except UserError as error:
                self.say(str(error), error=True)
            except Exception as error:  # a person's work must not end with a fault of ours: say it and go on
                if self._closed:
                    return
                traceback.print_exc(file=sys.stderr)
                self.say(
                    f"That did not work ({type(error).__name__}: {error}). Your work is kept; see the terminal.",
                    error=True,
                )

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
        field = self.client.gui.add_text("", "", visible=False)

        async def from_script(event: viser.GuiEvent) -> None:
            if event.client is not None:
                value = str(event.target.value)
                self.post(lambda: self._hear(value))

        field.on_update(from_script)
        for modifier in (None, *NEGATIVE_KEYS):
            on_click = self.client.scene.on_click(modifier=modifier)
            on_click(self._forward_click)  # pyright: ignore[reportArgumentType]  # viser takes coroutines, too
        self._field = field._impl.uuid
        self.scene.install(self._field, secrets.token_hex(16))
        timer = threading.Timer(self.studio.settings.script_wait, lambda: self.post(self._begin_without_script))
        timer.daemon = True
        timer.start()

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
        if scripted:
            self.scene.run("keepToken", self.workspace.token)
        self.scene.look()
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
            self._begin(str(message.get("token", "")), scripted=True)
        elif message.get("type") == "brush" and self.ready:
            self._paint(message)

    # --- showing ---------------------------------------------------------------------------------

    def open(self, loaded: LoadedMesh, session: Session | None = None) -> None:
        work = self.workspace
        work.loaded, work.default, work.session = loaded, loaded.answers, session or self.studio.new_session(loaded)
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

    def show_mesh(self) -> None:
        """Everything anew."""
        self._picker = self._shape_shown = None
        if self.workspace.default is not self.loaded.answers:  # refined while no tab showed it
            self.workspace.default = self.loaded.answers
            self.session.use(self.loaded.answers)
        self.panels.mesh_changed()
        self.refresh()
        self.post(lambda: self.pick(np.zeros(3), np.ones(3)))  # builds what the first click would wait for

    def refresh(self) -> None:
        session, state, selection = self.session, self.session.state, self.session.selection
        soft = selection.probability if self.view.soft else None
        with self.client.atomic():
            if self._shape_shown is not session.shape.vertices:
                self._show_shape()
            self.scene.show_colors(_labels(session), [(part.name, part.color) for part in state.parts], soft)
            self.scene.show_clicks(state.clicks, self._places)
        self.client.flush()
        self.panels.refresh()
        self.client.flush()

    def _show_shape(self) -> None:
        session, mesh = self.session, self.loaded.mesh
        self._places = session.shape.places(mesh)
        normals = self.loaded.normals
        if self._places is not mesh.normalized:
            normals = corner_normals(session.shape.mesh(mesh))
        self.scene.show_shape(self._places, mesh.faces, normals)
        self._shape_shown = session.shape.vertices

    # --- clicks ----------------------------------------------------------------------------------

    async def _forward_click(self, event: viser.SceneClickEvent) -> None:
        arrived = time.perf_counter()
        self.post(lambda: self.click(event.ray_origin, event.ray_direction, event.modifier in NEGATIVE_KEYS, arrived))

    def pick(self, origin: Any, direction: Any) -> Hit | None:
        """What a ray hits of the faces that are shown."""
        shown = self.session.shown
        key = (self._shape_shown, shown.tobytes())
        if self._picker is None or self._picker[0][0] is not key[0] or self._picker[0][1] != key[1]:
            self._picker = (key, Picker(self._places, self.loaded.mesh.faces, shown))
        return self._picker[1](np.asarray(origin, dtype=np.float64), np.asarray(direction, dtype=np.float64))

    def click(self, origin: Any, direction: Any, flipped: bool = False, arrived: float | None = None) -> None:
        """A click on the canvas: on a ball it takes that click away, on the mesh it adds one, beside it nothing."""
        arrived = time.perf_counter() if arrived is None else arrived
        if not self.ready:
            return
        hit = self.pick(origin, direction)
        clicks = self.session.state.clicks
        centers = self._places[[click.vertex for click in clicks]] if clicks else np.zeros((0, 3))
        ball = first_ball(np.asarray(origin), np.asarray(direction), centers, 1.15 * self.scene.ball_radius)
        # The front half of a ball stands out of the surface that it marks.
        if ball is not None and (hit is None or ball[1] <= hit.distance):
            changed = self.session.remove_click(clicks[ball[0]].vertex)
        elif hit is not None:
            self.view.last_hit = hit.vertex
            positive = self.view.exclude == flipped
            changed = self.session.click(hit.vertex, positive, alone=self.view.single and positive)
        else:
            return
        if changed:
            try:
                self.refresh()
            except UserError:
                self.session.undo()
                raise
        self.milliseconds.append(1000 * (time.perf_counter() - arrived))

    # --- brush -----------------------------------------------------------------------------------

    def _paint(self, message: dict[str, Any]) -> None:
        """A piece of a brush stroke: rays in the frame of the mesh. Anything else in the message is ignored."""
        rays = message.get("rays")
        if message.get("mode") not in ("add", "erase") or not isinstance(rays, list):
            return
        faces = np.zeros(self.loaded.mesh.num_faces, dtype=bool)
        for ray in rays[:64]:
            if not (
                isinstance(ray, list)
                and len(ray) == 6
                and all(isinstance(x, (int, float)) and math.isfinite(x) for x in ray)
            ):
                continue
            hit = self.pick(ray[:3], ray[3:])
            if hit is not None:
                faces |= self.loaded.surface.brush(hit.face, hit.point, self.view.brush_radius)
        stroke = message.get("stroke")
        if isinstance(stroke, int) and not isinstance(stroke, bool):
            self.session.paint(faces & self.session.shown, message["mode"] == "add", stroke=stroke)
        self.refresh()  # also when nothing changed: the page waits for it before it sends more

    def set_brush(self, mode: str) -> None:
        self.view.brush = mode
        self.scene.run("setBrush", mode)
        self.panels.refresh()

    def _hear_of_refinement(self, loaded: LoadedMesh, state: str, message: str) -> None:
        """News of the training for a mesh, whether or not this tab shows it; from any thread."""

        def tell() -> None:
            if self.ready and self.loaded is loaded:
                self.panels.files.refinement_changed(state, message)

        self.post(tell, key="" if state else "refinement")

    def do(self, operation: Callable[[Session], object]) -> None:
        if operation(self.session) is not False:
            self.refresh()


def _labels(session: Session) -> np.ndarray:
    """(F,) uint8, what `Scene.show_colors` colours each face by."""
    state, labels = session.state, np.full(session.mesh.num_faces, REST, dtype=np.uint8)
    for number, part in enumerate(state.parts):
        labels[state.labels == part.id] = FIRST_PART + number
    labels[session.selection.faces] = SELECTED
    labels[~session.shown] = HIDDEN
    return labels
