"""Opening, saving and exporting, and the training on this mesh: everything that reads or writes files."""

from __future__ import annotations

import html
import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import viser
from viser import Icon

from utils.errors import UserError
from utils.files import load_json
from utils.session import output
from utils.session.answers import Answers
from utils.session.files import decoder_command, save_log, save_session, session_from_json
from utils.session.session import Session
from utils.viewer.controls import Actions, Panel, offer, small

if TYPE_CHECKING:  # imported where it is used: it takes seconds
    from utils.rendering.cameras import Cameras

NOTHING = "nothing yet"
MOST_KEPT = 20  # pieces of work in the list
REFINING = (
    "Fits the prior decoder to this mesh with the masks of the teacher: some minutes, while you go on working. With "
    "the teacher that comes along it gained nothing on average (19 meshes: IoU 0.79 at one click before and after), so "
    "correct by clicks first. With better masks, those of SAM's own weights (--SAM), it has not been tried."
)
EXPORTS = {"GLB": ".glb", "OBJ": ".obj", "PLY": ".ply"}


class FilesTab(Panel):
    """All of it goes to the one output folder."""

    def __init__(self, page: Actions) -> None:
        super().__init__(page)
        gui = self.gui
        with gui.add_folder("Export parts"):
            self.on(gui.add_button_group("Shape", list(EXPORTS)), self._export_shape)
            self._others = {"Labels": self._export_labels, "Picture": self._picture, "Clicks": self._log}
            hint = ".seg and .npz; .png of this view; replayable log"
            others = gui.add_button_group("Other", list(self._others), hint=hint)
            self.on(others, lambda value: self._others.get(value, bool)())
            hint = "Of GLB and OBJ: smooth ones run across the triangles, as you see them"
            self.cut = gui.add_checkbox("Smooth borders", False, hint=hint)
            hint = "Of GLB and OBJ: closes the holes that parts leave in each other, for printing"
            self.caps = gui.add_checkbox("Close parts", False, hint=hint)
            self.download = gui.add_checkbox("Also download", False, hint="Send the files to this browser as well")
        with gui.add_folder("Session"):
            self.press("Save session", Icon.DEVICE_FLOPPY, self._save, color=None)
            self.sessions = gui.add_dropdown("Saved", [NOTHING])
            self.press("Reopen", Icon.FOLDER_OPEN, self._reopen)
            self._upload("Reopen a file ...", self._reopen_upload, mime_type="application/json")
            self.kept = gui.add_dropdown("Kept work", [NOTHING], hint="Every step is kept; here is what no tab shows")
            self.press("Go on with it", Icon.HISTORY, self._go_on)
            self.press("Start anew", Icon.FILE, page.start_anew, hint="What is there stays under 'Kept work'")
        with gui.add_folder("Another mesh"):
            self.meshes = gui.add_dropdown("Mesh", [NOTHING])
            self.press("Open", Icon.FOLDER_OPEN, self._open, color=None)
            self._upload("Open a file ...", self._open_upload)
        with gui.add_folder("Refine on this mesh"):
            self.refine_note = gui.add_html("")
            self.anew = gui.add_checkbox("Start over", False, hint="Do not go on from what an earlier run left")
            self.refine = self.press("Start refining", Icon.WAND, self._start, color=None)
            self.progress = gui.add_progress_bar(0.0, visible=False)
            self.cancel = self.press("Cancel", Icon.X, self._cancel, visible=False)
        self.where = gui.add_html("")

    def _upload(self, label: str, then: Any, **how: Any) -> None:
        self.on(self.gui.add_upload_button(label, icon=Icon.UPLOAD, color="gray", **how), then)

    # --- what is there ---------------------------------------------------------------------------

    def mesh_changed(self) -> None:
        """After another mesh or session was opened."""
        self._refresh_lists()
        self._show_refinement()

    def _refresh_lists(self) -> None:
        studio, loaded = self.page.studio, self.page.loaded
        meshes = studio.mesh_files()
        self.meshes.options = tuple(meshes) or (NOTHING,)
        own = loaded.mesh.path.resolve() if loaded.mesh.path else None
        here = [name for name, path in meshes.items() if path.resolve() == own]
        if here:
            self.meshes.value = here[0]
        self.sessions.options = tuple(studio.session_files(loaded)) or (NOTHING,)
        self._notes = {
            f"{datetime.fromtimestamp(note.changed):%d %b %H:%M:%S}, {note.summary}": note
            for note in studio.kept_work(loaded)[:MOST_KEPT]
        }
        offer(self.kept, list(self._notes), NOTHING)
        folder = html.escape(str(studio.settings.output.root / loaded.stem))
        style = "padding:.3em .9em;font-size:.75em;opacity:.7;overflow-wrap:anywhere"
        self.where.content = f"<div style='{style}'>Files go to {folder}</div>"

    # --- export ----------------------------------------------------------------------------------

    def _target(self, name: str, suffix: str) -> Path:
        return self.page.studio.settings.output.fresh(self.page.loaded.stem, name, suffix=suffix)

    def _written(self, *paths: Path) -> None:
        if self.download.value:
            for path in paths:
                self.page.client.send_file_download(path.name, path.read_bytes(), save_immediately=True)
        self.page.say("Written: " + ", ".join(path.name for path in paths) + f" in {paths[0].parent}")

    def _require_something(self) -> None:
        session = self.page.session
        if not session.state.parts and not session.selection.faces.any() and not session.state.edits:
            raise UserError("there is no part and no selection to export yet: click on the model first")

    def _export_shape(self, value: str) -> None:
        if value not in EXPORTS:
            return
        self._require_something()
        path = self._target("parts", EXPORTS[value])
        if value == "PLY":
            output.save_ply(path, self.page.session)
            self._written(path)
        else:
            write = output.save_glb if value == "GLB" else output.save_obj
            self._written(*write(path, self.page.session, *self._borders()))

    def _borders(self) -> tuple[str, str]:
        """How parts end, and whether they are closed (`output.shaped`)."""
        return "smooth" if self.cut.value else "faces", "caps" if self.caps.value else "open"

    def _export_labels(self) -> None:
        self._require_something()
        seg = self._target("labels", ".seg")
        npz = seg.with_suffix(".npz")
        output.save_seg(seg, self.page.session)
        output.save_labels_npz(npz, self.page.session)
        self._written(seg, npz)

    def _picture(self) -> None:
        path = self._target("picture", ".png")
        size = self.page.studio.settings.picture_size
        output.save_picture(path, self.page.session, camera_of(self.page.client, size))
        self._written(path)

    def _log(self) -> None:
        path, session = self._target("clicks", ".json"), self.page.session
        save_log(path, session)
        self._written(path)
        if command := decoder_command(session):
            self.page.say(f"The same by command: {command}", seconds=20)

    # --- sessions --------------------------------------------------------------------------------

    def _save(self) -> None:
        path = self._target("session", ".session.json")
        save_session(path, self.page.session)
        self.page.workspace.saved = len(self.page.session.log)
        self._written(path)
        self._refresh_lists()

    def _go_on(self) -> None:
        note = self._notes.get(self.kept.value)
        if note is None:
            raise UserError("there is no other work on this mesh")
        self.page.go_on(note)

    def _reopen(self) -> None:
        path = self.page.studio.session_files(self.page.loaded).get(self.sessions.value)
        if path is None:
            raise UserError("there is no saved session: save one first")
        self._reopen_held(load_json(path, "session file"), path.name)

    def dropped(self, name: str, content: bytes) -> None:
        """A file that was dropped on the page: a session, or a mesh."""
        if name.lower().endswith(".json"):
            self._reopen_content(name, content)
        else:
            self.page.open_file(self.page.studio.store_upload(name, content), uploaded=True)

    def _reopen_upload(self, file: Any) -> None:
        self._reopen_content(str(file.name), file.content)

    def _reopen_content(self, name: str, content: bytes) -> None:
        name = name[-60:]
        try:
            held = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{name} is not a session file; choose a file that this tool saved") from error
        self._reopen_held(held, name)

    def _reopen_held(self, held: Any, name: str) -> None:
        page, loaded = self.page, self.page.loaded
        about = held.get("mesh") if isinstance(held, dict) else None
        about = about if isinstance(about, dict) else {}
        other = page.studio.mesh_files().get(str(about.get("name")))
        if about.get("digest") != loaded.mesh.digest and other is not None and other != loaded.mesh.path:
            page.open_file(other, then=lambda: self._reopen_held(held, name))
            return
        current = page.session.answers
        session = session_from_json(held, loaded.mesh, current, name, loaded.surface)
        note = held.get("segmenter")
        note = note if isinstance(note, dict) else {}
        answers = self._answered_by(note.get("kind"), note.get("digest"))
        if answers is not current:
            session = session_from_json(held, loaded.mesh, answers, name, loaded.surface)
        _ = session.selection  # what cannot be asked is refused before anything changes
        same = note.get("digest") == answers.identity
        if not page.workspace.unsaved:
            self._show(session, name, same)
            return
        state = page.session.state
        text = (
            f"Your work ({len(state.parts)} parts, {len(state.clicks)} clicks) is in no session file. "
            "If you reopen another session it stays under 'Kept work'."
        )
        self.confirm("Reopen another session?", text, "Reopen it", lambda: self._show(session, name, same))

    def _show(self, session: Session, name: str, same: bool) -> None:
        page = self.page
        page.open(page.loaded, session)
        other = " It was made with another segmenter: parts are as saved, what the clicks select may differ."
        page.say(f"Reopened {name}.{'' if same else other}")

    def _answered_by(self, kind: Any, identity: Any) -> Answers:
        """What answered when a session was saved, if it is to be had, else what answers now."""
        current = self.page.session.answers
        if identity == current.identity or kind not in self.page.studio.kinds(self.page.loaded):
            return current
        try:
            answers = self.page.made_ready(kind)
        except UserError:
            return current
        return answers if answers.identity == identity else current

    # --- meshes ----------------------------------------------------------------------------------

    def _open(self) -> None:
        path = self.page.studio.mesh_files().get(self.meshes.value)
        if path is None:
            raise UserError("choose a mesh of the list, or open a file")
        self.page.open_file(path)

    def _open_upload(self, file: Any) -> None:
        self.page.open_file(self.page.studio.store_upload(file.name, file.content), uploaded=True)

    # --- refinement ------------------------------------------------------------------------------

    def _start(self) -> None:
        loaded, clicks = self.page.loaded, self.page.session.state.clicks
        asked = next((click.vertex for click in clicks if click.positive), int(loaded.mesh.faces[0, 0]))
        self.page.studio.refine(loaded, str(asked), self.anew.value)

    def _cancel(self) -> None:
        running = self.page.studio.refinement_of(self.page.loaded)
        if running is not None:
            running.cancel()

    def refinement_changed(self, finished: str, message: str) -> None:
        """News of the training on the mesh that the page shows; finished: "" while it runs."""
        self._show_refinement()
        if finished == "done":
            self.page.answer_with(self.page.loaded.answers)
            self.page.say("Refined: clicks are now answered by the decoder trained on this mesh.")
        elif finished == "cancelled":
            self.page.say("Refining cancelled. What was finished is kept; starting again goes on from there.")
        elif finished == "failed":
            hint = " Or tick 'Start over'." if "--overwrite" in message else ""
            self.page.say(f"Refining failed: {message}{hint}", error=True, seconds=30)

    def _show_refinement(self) -> None:
        running = self.page.studio.refinement_of(self.page.loaded)
        text = REFINING if running is None else f"{running.stage} · {100 * running.progress:.0f} %"
        if running is not None and (left := running.seconds_left) is not None:
            text += f" · about {max(1, round(left / 60))} min left"
        self.refine_note.content = small(html.escape(text))
        self.refine.disabled = running is not None
        self.progress.visible = self.cancel.visible = running is not None
        if running is not None:
            self.progress.value = 100 * running.progress


def camera_of(client: viser.ClientHandle, size: tuple[int, int]) -> Cameras:
    """The view that a page shows, as a camera of ours with pictures of (height, width) pixels."""
    import torch

    from utils.rendering.cameras import Cameras

    camera = client.camera
    forward = np.asarray(camera.look_at, dtype=np.float64) - camera.position
    forward = forward / max(np.linalg.norm(forward), 1e-9)
    right = np.cross(forward, np.asarray(camera.up_direction, dtype=np.float64))
    if not np.linalg.norm(right) > 1e-6:
        right = np.cross(forward, [1.0, 0.0, 0.0] if abs(forward[0]) < 0.9 else [0.0, 0.0, 1.0])
    right = right / np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, -rotation @ camera.position
    return Cameras(torch.from_numpy(matrix[None]).float(), float(camera.fov), size)
