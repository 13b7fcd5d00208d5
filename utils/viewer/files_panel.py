"""Opening, saving and exporting, and the training on this mesh."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import viser

from utils.errors import UserError
from utils.files import load_json
from utils.rendering.cameras import Cameras
from utils.session import output
from utils.session.files import decoder_command, save_log, save_session, session_from_json
from utils.viewer.refine import pipeline_command

if TYPE_CHECKING:
    from utils.viewer.panels import Panels
    from utils.viewer.studio import Opened

NOTHING = "nothing yet"
PICTURE_SIZE = (720, 960)
REFINED = "refined"  # folder of a refinement, below the mesh's own
EXPORTS = {"GLB": (output.save_glb, ".glb"), "OBJ": (output.save_obj, ".obj"), "PLY": (output.save_ply, ".ply")}


class FilesPanel:
    """Everything that reads or writes files; all of it goes to the one output folder."""

    def __init__(self, panels: Panels) -> None:
        self.panels, self.page = panels, panels.page
        gui = self.page.client.gui
        with gui.add_folder("Export parts"):
            shapes = gui.add_button_group("Shape", list(EXPORTS))
            panels.on(shapes, self._export_shape)
            others = gui.add_button_group(
                "Other", list(self._others()), hint=".seg and .npz; .png of this view; replayable log"
            )
            panels.on(others, lambda value: self._others()[value]() if value in self._others() else None)
            self.download = gui.add_checkbox("Also download", False, hint="Send the files to this browser as well")
        with gui.add_folder("Session"):
            panels.press(gui.add_button("Save session", icon=viser.Icon.DEVICE_FLOPPY), self._save)
            self.sessions = gui.add_dropdown("Saved", [NOTHING])
            panels.press(gui.add_button("Reopen", icon=viser.Icon.FOLDER_OPEN, color="gray"), self._reopen)
            upload = gui.add_upload_button(
                "Reopen a file ...", icon=viser.Icon.UPLOAD, color="gray", mime_type="application/json"
            )
            panels.on(upload, self._reopen_upload)
        with gui.add_folder("Another mesh"):
            self.meshes = gui.add_dropdown("Mesh", [NOTHING])
            panels.press(gui.add_button("Open", icon=viser.Icon.FOLDER_OPEN), self._open)
            panels.on(gui.add_upload_button("Open a file ...", icon=viser.Icon.UPLOAD, color="gray"), self._open_upload)
        with gui.add_folder("Refine on this mesh"):
            self.refine_note = gui.add_html("")
            self.anew = gui.add_checkbox("Start over", False, hint="Do not go on from what an earlier run left")
            self.refine = gui.add_button("Start refining", icon=viser.Icon.WAND)
            panels.press(self.refine, self._start)
            self.progress = gui.add_progress_bar(0.0, visible=False)
            self.cancel = gui.add_button("Cancel", icon=viser.Icon.X, color="gray", visible=False)
            panels.press(self.cancel, self._cancel)
        self.where = gui.add_html("")

    # --- what is there ---------------------------------------------------------------------------

    def mesh_changed(self) -> None:
        self.refresh_lists()
        self._show_refinement()

    def refresh_lists(self) -> None:
        studio, loaded = self.page.studio, self.page.loaded
        meshes = list(studio.mesh_files())
        self.meshes.options = tuple(meshes) or (NOTHING,)
        own = loaded.mesh.path.resolve() if loaded.mesh.path else None
        here = [name for name, path in studio.mesh_files().items() if path.resolve() == own]
        if here:
            self.meshes.value = here[0]
        self.sessions.options = tuple(studio.session_files()) or (NOTHING,)
        self.where.content = (
            f"<div style='padding:.3em .9em;font-size:.75em;opacity:.7;overflow-wrap:anywhere'>Files go to "
            f"{_escape(studio.settings.output.root / loaded.stem)}</div>"
        )

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

    def _others(self) -> dict[str, Callable[[], None]]:
        return {"Labels": self._export_labels, "Picture": self._picture, "Clicks": self._log}

    def _export_shape(self, value: str) -> None:
        if value not in EXPORTS:
            return
        self._require_something()
        write, suffix = EXPORTS[value]
        path = self._target("parts", suffix)
        write(path, self.page.session)
        self._written(path)

    def _export_labels(self) -> None:
        self._require_something()
        seg = self._target("labels", ".seg")
        npz = seg.with_suffix(".npz")
        output.save_seg(seg, self.page.session)
        output.save_labels_npz(npz, self.page.session)
        self._written(seg, npz)

    def _picture(self) -> None:
        path = self._target("picture", ".png")
        output.save_picture(path, self.page.session, camera_of(self.page.client))
        self._written(path)

    def _log(self) -> None:
        path, session, note = self._target("clicks", ".json"), self.page.session, self.page.opened.note
        save_log(path, session, note)
        self._written(path)
        if command := decoder_command(session, note):
            self.page.say(f"The same by command: {command}", seconds=20)

    # --- sessions --------------------------------------------------------------------------------

    def _save(self) -> None:
        path = self._target("session", ".session.json")
        save_session(path, self.page.session, self.page.opened.note)
        self._written(path)
        self.refresh_lists()

    def _reopen(self) -> None:
        path = self.page.studio.session_files().get(self.sessions.value)
        if path is None:
            raise UserError("there is no saved session: save one first")
        self._reopen_held(load_json(path, "session file"), path.name)

    def _reopen_upload(self, file: Any) -> None:
        name = str(file.name)[-60:]
        try:
            held = json.loads(file.content)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{name} is not a session file; choose a file that this tool saved") from error
        self._reopen_held(held, name)

    def _reopen_held(self, held: Any, name: str) -> None:
        page, loaded = self.page, self.page.loaded
        session = session_from_json(held, loaded.mesh, page.opened.answers, name, loaded.surface)
        note = held.get("segmenter")
        opened = self._opened_by(note)
        if opened is not page.opened:
            session = session_from_json(held, loaded.mesh, opened.answers, name, loaded.surface)
        session.selection  # what cannot be asked is refused before anything changes
        page.open(loaded, session, opened)
        same = isinstance(note, dict) and note.get("digest") == opened.note.digest
        other = (
            ""
            if same
            else " It was made with another segmenter: parts are as saved, what the clicks select may differ."
        )
        self.page.say(f"Reopened {name}.{other}")

    def _opened_by(self, note: Any) -> Opened:
        """What answered when a session was saved, if it is to be had, else what answers now."""
        page = self.page
        kind, identity = (note.get("kind"), note.get("digest")) if isinstance(note, dict) else (None, None)
        if identity == page.opened.note.digest or kind not in page.studio.kinds(page.loaded):
            return page.opened
        try:
            opened = self.panels.made_ready(kind)
        except UserError:
            return page.opened
        return opened if opened.note.digest == identity else page.opened

    # --- meshes ----------------------------------------------------------------------------------

    def _open(self) -> None:
        path = self.page.studio.mesh_files().get(self.meshes.value)
        if path is None:
            raise UserError("choose a mesh of the list, or open a file")
        self._open_path(path)

    def _open_upload(self, file: Any) -> None:
        self._open_path(self.page.studio.store_upload(file.name, file.content))

    def _open_path(self, path: Path) -> None:
        waiting = self.page.client.add_notification(
            "Opening", f"{path.name} ...", loading=True, with_close_button=False
        )
        try:
            self.page.open(self.page.studio.load(path))
        finally:
            waiting.remove()

    # --- refinement ------------------------------------------------------------------------------

    def _out_dir(self) -> Path:
        return self.page.studio.settings.output.path(self.page.loaded.stem, REFINED)

    def _start(self) -> None:
        page, loaded = self.page, self.page.loaded
        if page.studio.refinement_of(loaded) is not None:
            raise UserError("this mesh is being refined already")
        query = next(
            (str(click.vertex) for click in page.session.state.clicks if click.positive),
            str(int(loaded.mesh.faces[0, 0])),
        )
        command = pipeline_command(
            page.studio.settings.root,
            loaded.mesh.path,
            self._out_dir(),
            query,
            (*page.studio.settings.refine_options, *(("--overwrite", "1") if self.anew.value else ())),
        )
        page.studio.refine(loaded, command, self._out_dir())

    def _cancel(self) -> None:
        running = self.page.studio.refinement_of(self.page.loaded)
        if running is not None:
            running.cancel()

    def refinement_changed(self, finished: str, message: str) -> None:
        """Called on the page's thread, for every page that shows the mesh; finished: "" while it runs."""
        self._show_refinement()
        if finished == "done":
            self.page.answer_with(self.page.loaded.opened)
            self.page.say("Refined: clicks are now answered by the decoder trained on this mesh.")
        elif finished == "cancelled":
            self.page.say("Refining cancelled. What was finished is kept; starting again goes on from there.")
        elif finished == "failed":
            hint = " Or tick 'Start over'." if "--overwrite" in message else ""
            self.page.say(f"Refining failed: {message}{hint}", error=True, seconds=30)

    def _show_refinement(self) -> None:
        running = self.page.studio.refinement_of(self.page.loaded)
        text = (
            "Refines the prior decoder on this mesh with the masks of the teacher: a few minutes, while you go on working."
            if running is None
            else f"{running.stage} · {100 * running.progress:.0f} %"
        )
        self.refine_note.content = f"<div style='padding:.2em .9em;font-size:.8em;opacity:.85'>{_escape(text)}</div>"
        self.refine.disabled = running is not None
        self.progress.visible = self.cancel.visible = running is not None
        if running is not None:
            self.progress.value = 100 * min(max(running.progress, 0.0), 1.0)


def camera_of(client: viser.ClientHandle) -> Cameras:
    """The view that a page shows, as a camera of ours."""
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
    return Cameras(torch.from_numpy(matrix[None]).float(), float(camera.fov), PICTURE_SIZE)


def _escape(value: object) -> str:
    return html.escape(str(value))
