"""What all tabs share: meshes that are ready, what each tab works on, the trainings that run, and the output folder."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

from utils.clicks import Clicks
from utils.errors import UserError
from utils.files import atomic_path
from utils.geometry.mesh import FORMATS, load_mesh
from utils.options import SEGMENTERS
from utils.progress import Step, silent
from utils.session.answers import Answers
from utils.session.journal import SUFFIX, Journal, Note, go_on, read_note
from utils.session.session import Session
from utils.viewer.opening import Opening
from utils.viewer.refine import Refinement
from utils.viewer.workspace import LoadedMesh, Models, Settings, Workspace

MAX_WORKSPACES = 32  # the oldest that no tab shows is forgotten
LARGE = 250_000  # faces from which on the first answer takes seconds, and is asked for before there is a click
HEAD_START = 4.0  # seconds, and for a million faces, in which a page may show a mesh before the processor is busy
MAX_UPLOAD, QUOTA = 512 << 20, 2 << 30  # bytes, of one upload and of all
REFINED, AUTOSAVE = "refined", "autosave"  # folders of a refinement and of work in progress, below the mesh's own
Listener = Callable[[LoadedMesh, str, str], None]


class Studio:
    """Opens meshes and keeps the work on them.

    listeners  hear of a mesh: "answers" where other answers are ready, "colors" where the file's are read, and of
               trainings "" or how it ended ("done", "failed", "cancelled"), and why it failed
    opening    where the mesh stands that is being made ready, by its path
    """

    def __init__(self, settings: Settings, models: Models) -> None:
        self.settings, self.models = settings, models
        self.listeners: list[Listener] = []
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._loaded: dict[Path, tuple[tuple[int, int] | None, LoadedMesh]] = {}  # with the version of the file
        self._workspaces: OrderedDict[str, Workspace] = OrderedDict()
        self._refinements: dict[LoadedMesh, Refinement] = {}
        self.opening: dict[Path, Opening] = {}

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
        loaded, fresh = self._work_of(token), secrets.token_hex(16)
        fresh = Workspace(fresh, loaded, self.journal(loaded, fresh, token), client_id)
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
            session.log.clear()
        return session

    # --- work that outlives tabs and the server ----------------------------------------------------

    def journal(self, loaded: LoadedMesh, token: str, owner: str = "") -> Journal:
        """A new session of a tab, or the one that its former token `owner` had on this mesh."""
        for note in self.kept_work(loaded) if owner else ():
            if note.owner == owner:
                try:
                    return self.go_on(loaded, note, token)
                except UserError as error:
                    print(f"note: {error}", flush=True)
        return self.keep(loaded, self.new_session(loaded), token)

    def keep(self, loaded: LoadedMesh, session: Session, token: str) -> Journal:
        """A file of its own for a session."""
        name = f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
        return Journal(self.settings.output.path(loaded.stem, AUTOSAVE, name, suffix=SUFFIX), session, token)

    def go_on(self, loaded: LoadedMesh, note: Note, token: str) -> Journal:
        """Kept work, which belongs to a tab from now on; UserError if it is damaged."""

        def answers_of(kind: str, identity: str) -> Answers:
            held = loaded.choices.get(kind)
            return held if held is not None and held.identity == identity else loaded.answers

        journal = Journal(note.path, go_on(note.path, loaded.mesh, loaded.surface, answers_of), token)
        _ = journal.session.answers.ready and journal.session.selection  # what cannot be asked is refused
        with self._lock:  # a tab that is not shown any more gives it away
            for held in [held for held in self._workspaces.values() if held.journal.path == note.path]:
                del self._workspaces[held.token]
        journal.write()
        return journal

    def kept_work(self, loaded: LoadedMesh) -> list[Note]:
        """Work on a mesh that no tab shows, the newest first."""
        shown = {held.journal.path for held in self._workspaces.values() if held.shown_by is not None}
        notes = self._notes(loaded.stem)
        return [note for note in notes if note.digest == loaded.mesh.digest and note.path not in shown]

    def _notes(self, stem: str = "*") -> list[Note]:
        root = self.settings.output.root
        folders = root.glob(f"*/{AUTOSAVE}") if stem == "*" else [self.settings.output.path(stem, AUTOSAVE)]
        paths = [path for folder in folders for path in folder.glob(f"*{SUFFIX}") if self.settings.output.holds(path)]
        notes = [note for note in map(read_note, paths) if note is not None]
        return sorted(notes, key=lambda note: note.changed, reverse=True)

    def _work_of(self, token: str) -> LoadedMesh:
        """The mesh that a tab worked on last, else the one of the command line."""
        last = next((note for note in self._notes() if note.owner == token), None) if token else None
        if last is not None and last.mesh in {str(path) for path in self.mesh_files().values()}:
            try:
                return self.load(Path(last.mesh))
            except UserError as error:
                print(f"note: {error}", flush=True)
        return self.load(self.settings.mesh_path)

    # --- meshes and what answers -----------------------------------------------------------------

    def load(self, path: Path) -> LoadedMesh:
        """A mesh to show; what answers clicks on it is made ready in the background, each once.

        UserError if the file cannot be read.
        """
        path = Path(path).resolve()
        version = (path.stat().st_mtime_ns, path.stat().st_size) if path.is_file() else None
        with self._reading:
            known, loaded = self._loaded.get(path, (None, None))
            if loaded is None or known != version:
                loaded = self._read(path)
                self._loaded[path] = (version, loaded)
        if not self.settings.mesh_first:
            loaded.usable.wait()
        return loaded

    def _read(self, path: Path) -> LoadedMesh:
        opening = self.opening[path] = Opening(path.stat().st_size if path.is_file() else 0)
        try:
            loaded = LoadedMesh(load_mesh(path))
        except UserError:
            del self.opening[path]
            raise
        opening.has_faces(loaded.mesh.num_faces)
        threading.Thread(target=self._make_ready, args=(path, loaded, opening), daemon=True).start()
        threading.Thread(target=self._read_colors, args=(loaded,), daemon=True).start()
        return loaded

    def _read_colors(self, loaded: LoadedMesh) -> None:
        from utils.geometry.file_colors import corner_colors

        loaded.shown.wait()
        loaded.colors = corner_colors(loaded.mesh)
        if loaded.colors is not None:
            self._tell(loaded, "colors", "")

    def _make_ready(self, path: Path, loaded: LoadedMesh, opening: Opening) -> None:
        """First what answers at once, then what the command line says."""
        mesh, models = loaded.mesh, self.models
        if self.settings.mesh_first:
            loaded.shown.wait(HEAD_START * (1 + loaded.mesh.num_faces / 1e6))
            loaded.shown.set()  # nobody looks
        try:
            opening(Step("load the networks", 0, 1))
            if meanwhile := models.meanwhile(mesh):
                with contextlib.suppress(UserError):
                    loaded.use(Answers(models.open(mesh, meanwhile, opening)))
                    self._tell(loaded, "answers", "")
            answers = Answers(models.open(mesh, None, opening))
            if mesh.num_faces > LARGE:  # what the first click would wait for
                answers.ask(Clicks.from_lists([int(mesh.faces[0, 0])]))
            loaded.use(answers)
        except UserError as error:
            loaded.problem = str(error)
        except Exception as error:  # the page says it
            traceback.print_exc()
            loaded.problem = f"what answers clicks could not be made ready: {type(error).__name__}: {error}"
        del self.opening[path]
        loaded.usable.set()
        loaded.done.set()
        self._tell(loaded, "answers", loaded.problem)
        loaded.surface.prepare()

    def kinds(self, loaded: LoadedMesh) -> list[str]:
        """What can answer clicks on a mesh, of `SEGMENTERS`; while it is being made ready, what answers already."""
        there = {*loaded.choices, *(self.models.kinds(loaded.mesh) if loaded.done.is_set() else ())}
        return [kind for kind in SEGMENTERS if kind in there]

    def choose(self, loaded: LoadedMesh, kind: str) -> Answers:
        """The answers of a kind, made ready when they are first asked for; UserError if they cannot be."""
        if kind not in loaded.choices:
            if kind not in self.kinds(loaded):
                raise UserError("choose one of the list")
            answers = Answers(self.models.open(loaded.mesh, kind, silent))
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
        first = self.settings.mesh_path.resolve()
        beside = [first] if self.settings.shared else _files_in(first.parent)
        for path in (*beside, *_files_in(self.settings.output.root / "uploads")):
            if path.suffix.lower() in FORMATS and path.is_file():
                names[path.name if path.name not in names else f"{path.parent.name}/{path.name}"] = path
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
        if len(content) + sum(path.stat().st_size for path in _files_in(self.settings.output.root / "uploads")) > QUOTA:
            raise UserError(f"uploads take more than {QUOTA >> 30} GB already: delete some in the output folder")
        path = self.settings.output.path("uploads", stem or "mesh", suffix=f".{suffix.lower()}")
        if path.is_file() and path.read_bytes() != content:
            path = self.settings.output.fresh("uploads", stem or "mesh", suffix=f".{suffix.lower()}")
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
        return path

    def session_files(self, loaded: LoadedMesh) -> dict[str, Path]:
        """Saved sessions by name, the newest first."""
        output, ending = self.settings.output, ".session.json"
        folders = [output.path(loaded.stem)] if self.settings.shared else output.root.glob("*")
        found = [path for folder in folders for path in folder.glob(f"*{ending}") if output.holds(path)]
        found.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        return {f"{path.parent.name} / {path.name.removesuffix(ending)}": path for path in found}


def _files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
