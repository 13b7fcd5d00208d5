"""What all tabs share: meshes that are ready, what each tab works on, the trainings that run, and the output folder."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path

from utils.errors import UserError
from utils.files import atomic_path
from utils.geometry.mesh import FORMATS, load_mesh
from utils.session.answers import Answers
from utils.session.session import Session
from utils.viewer.refine import Refinement
from utils.viewer.workspace import KINDS, LoadedMesh, Models, Settings, Workspace

MAX_WORKSPACES = 32  # the oldest that no tab shows is forgotten
MAX_UPLOAD = 512 << 20
REFINED = "refined"  # folder of a refinement, below the mesh's own
Listener = Callable[[LoadedMesh, str, str], None]


class Studio:
    """Opens meshes and keeps the work on them; UserError if the first mesh cannot be opened.

    listeners  hear of trainings: the mesh, "" or how it ended ("done", "failed", "cancelled"), and why it failed
    """

    def __init__(self, settings: Settings, models: Models) -> None:
        self.settings, self.models = settings, models
        self.listeners: list[Listener] = []
        self._lock = threading.Lock()
        self._loaded: dict[Path, tuple[tuple[int, int] | None, LoadedMesh]] = {}  # with the version of the file
        self._workspaces: OrderedDict[str, Workspace] = OrderedDict()
        self._refinements: dict[LoadedMesh, Refinement] = {}
        self.load(settings.mesh_path)

    def stop(self) -> None:
        """End what runs in the background."""
        for running in list(self._refinements.values()):
            running.cancel()

    # --- tabs ------------------------------------------------------------------------------------

    def workspace(self, token: str, client_id: int) -> Workspace:
        """The workspace that a reloaded tab had, or a new one: never one that another tab shows."""
        deadline = time.monotonic() + self.settings.release_wait
        while (held := self._workspaces.get(token)) is not None:
            with self._lock:
                if held.shown_by is None:
                    held.shown_by = client_id
                    return held
            if time.monotonic() > deadline:
                break
            time.sleep(0.01)  # a tab that is loaded again may come back before its old connection is gone
        loaded = self.load(self.settings.mesh_path)
        fresh = Workspace(secrets.token_hex(16), loaded, self.new_session(loaded), loaded.answers, client_id)
        with self._lock:
            self._workspaces[fresh.token] = fresh
            unseen = [held.token for held in self._workspaces.values() if held.shown_by is None]
            for old in unseen[: max(0, len(self._workspaces) - MAX_WORKSPACES)]:
                del self._workspaces[old]
        return fresh

    def new_session(self, loaded: LoadedMesh) -> Session:
        """An empty session with the settings of the command line."""
        session = Session(loaded.mesh, loaded.answers, loaded.surface)
        if self.settings.otsu is not None:
            session.set_threshold(None if self.settings.otsu else 0.5)
        return session

    # --- meshes and what answers -----------------------------------------------------------------

    def load(self, path: Path) -> LoadedMesh:
        """A mesh that is ready for clicks; each is made ready once. UserError if that cannot be."""
        path = Path(path).resolve()
        version = (path.stat().st_mtime_ns, path.stat().st_size) if path.is_file() else None
        with self._lock:
            known, held = self._loaded.get(path, (None, None))
        if held is not None and known == version:
            return held
        mesh = load_mesh(path)
        loaded = LoadedMesh(mesh, Answers(self.models.open(mesh, None)))
        with self._lock:
            self._loaded[path] = (version, loaded)
        threading.Thread(target=loaded.surface.prepare, daemon=True).start()
        return loaded

    def kinds(self, loaded: LoadedMesh) -> list[str]:
        """What can answer clicks on a mesh, of `KINDS`."""
        there = {*loaded.choices, *self.models.kinds(loaded.mesh)}
        return [kind for kind in KINDS if kind in there]

    def choose(self, loaded: LoadedMesh, kind: str) -> Answers:
        """The answers of a kind, made ready when they are first asked for; UserError if they cannot be."""
        if kind not in loaded.choices:
            if kind not in self.kinds(loaded):
                raise UserError("choose one of the list")
            answers = Answers(self.models.open(loaded.mesh, kind))
            with self._lock:
                loaded.choices.setdefault(kind, answers)
        return loaded.choices[kind]

    # --- refinement ------------------------------------------------------------------------------

    def refinement_of(self, loaded: LoadedMesh) -> Refinement | None:
        """The training that runs for a mesh, if one does."""
        return self._refinements.get(loaded)

    def refine(self, loaded: LoadedMesh, query: str, start_over: bool = False) -> None:
        """Train a decoder for a mesh in the background, and answer with it when it is done.

        query: one of the clicks as on the command line; start_over: do not go on from what an earlier run left
        """
        path = loaded.mesh.path
        if path is None or loaded in self._refinements:
            raise UserError("this mesh is being refined already")
        directory = self.settings.output.path(loaded.stem, REFINED)
        known = threading.Event()

        def changed() -> None:
            known.wait()
            self._refinement_changed(loaded, running, directory)

        running = Refinement(partial(self.models.refine, path, directory, query, start_over), changed)
        self._refinements[loaded] = running
        known.set()
        self._tell(loaded, "", "")

    def _refinement_changed(self, loaded: LoadedMesh, running: Refinement, directory: Path) -> None:
        state, message = running.state, running.message
        if state != "running":
            self._refinements.pop(loaded, None)
            if state == "done":
                try:
                    loaded.use(Answers(self.models.open_refined(loaded.mesh, directory)))
                except UserError as error:
                    state, message = "failed", str(error)
        self._tell(loaded, "" if state == "running" else state, message)

    def _tell(self, loaded: LoadedMesh, state: str, message: str) -> None:
        for listener in list(self.listeners):
            listener(loaded, state, message)

    # --- files -----------------------------------------------------------------------------------

    def mesh_files(self) -> dict[str, Path]:
        """Meshes that can be opened by name: those beside the first one, and those that were uploaded."""
        names: dict[str, Path] = {}
        for folder in (self.settings.mesh_path.resolve().parent, self.settings.output.root / "uploads"):
            for path in sorted(folder.iterdir()) if folder.is_dir() else []:
                if path.suffix.lower() in FORMATS and path.is_file():
                    names[path.name if path.name not in names else f"{folder.name}/{path.name}"] = path
        return names

    def store_upload(self, name: str, content: bytes) -> Path:
        """Keep an uploaded mesh in the output folder under a cleaned name; UserError if it is none."""
        stem, dot, suffix = str(name).replace("\\", "/").rsplit("/", 1)[-1].rpartition(".")
        if not dot or f".{suffix.lower()}" not in FORMATS:
            raise UserError(f"'{str(name)[-40:]}' is not a mesh: choose an OBJ, PLY, OFF, STL or GLB file")
        if not content:
            raise UserError("the file is empty")
        if len(content) > MAX_UPLOAD:
            raise UserError(f"the file is larger than {MAX_UPLOAD >> 20} MB: open it by --obj_path")
        path = self.settings.output.path("uploads", stem or "mesh", suffix=f".{suffix.lower()}")
        if path.is_file() and path.read_bytes() != content:
            path = self.settings.output.fresh("uploads", stem or "mesh", suffix=f".{suffix.lower()}")
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
        return path

    def session_files(self) -> dict[str, Path]:
        """Saved sessions by name, the newest first."""
        output, ending = self.settings.output, ".session.json"
        found = [path for path in output.root.glob(f"*/*{ending}") if output.holds(path)]
        found.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        return {f"{path.parent.name} / {path.name.removesuffix(ending)}": path for path in found}
