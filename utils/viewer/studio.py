"""What all tabs of one server share: the meshes that are open, the people's workspaces, and the output folder."""

from __future__ import annotations

import contextlib
import io
import secrets
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np
import viser
from viser import _messages

from utils.errors import UserError
from utils.files import atomic_path
from utils.geometry.mesh import FORMATS, Mesh, load_mesh
from utils.output.export import Color
from utils.segmenter import Segmenter
from utils.session.answers import Answers
from utils.session.files import SegmenterNote
from utils.session.session import Session
from utils.session.surface import Surface
from utils.viewer.folder import OutputFolder
from utils.viewer.refine import Refinement
from utils.viewer.scene import corner_normals

if TYPE_CHECKING:
    from utils.viewer.page import Page

MAX_WORKSPACES = 32  # the oldest that no tab shows is forgotten
MAX_UPLOAD = 512 << 20
RELEASE_WAIT = 1.5  # seconds
# What a page still says to a tab that is being closed is lost, and may be.
warnings.filterwarnings("ignore", message="Queued a .* on a closed connection")
KINDS = ("prior", "trained", "instant")  # of `SegmenterNote`
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, eq=False)
class Opened:
    """A segmenter that is ready for one mesh.

    note     for session files
    label    a few words for the page
    answers  of the segmenter, shared by all tabs
    """

    segmenter: Segmenter
    note: SegmenterNote
    label: str
    answers: Answers = field(init=False)

    def __post_init__(self) -> None:
        # At once, not at first use: of one that learns there must never be two, which would not know of each other's lessons.
        object.__setattr__(self, "answers", Answers(self.segmenter, self.note.digest))


class LoadedMesh:
    """A mesh with all that is computed once for it.

    opened   what answers clicks of new sessions
    choices  everything that was made ready to answer, by the kind of its note
    """

    def __init__(self, mesh: Mesh, opened: Opened) -> None:
        self.mesh, self.surface = mesh, Surface(mesh)
        self.choices: dict[str, Opened] = {}
        self.use(opened)

    def use(self, opened: Opened) -> None:
        """Answer with this segmenter from now on."""
        self.opened = self.choices[opened.note.kind] = opened

    @property
    def name(self) -> str:
        return self.mesh.path.name if self.mesh.path else "mesh"

    @property
    def stem(self) -> str:
        return self.mesh.path.stem if self.mesh.path else "mesh"

    @cached_property
    def normals(self) -> np.ndarray:
        return corner_normals(self.mesh)


@dataclass(eq=False)
class Workspace:
    """One tab's work: its mesh and session, kept for when the tab is loaded again.

    opened    what answers its clicks
    default   what answered new sessions when that was decided: a refinement since then takes over
    shown_by  the client that shows it, None for none
    """

    token: str
    loaded: LoadedMesh
    session: Session
    opened: Opened
    default: Opened
    settings: dict[str, object] = field(default_factory=dict)
    shown_by: int | None = None


@dataclass(frozen=True)
class Settings:
    """What the command line says.

    root         of the checkout, where scripts/ is
    mesh_path    to begin with
    output       folder of everything that is written
    palette      "base", "selected", "positive", "negative"
    ball_radius  of clicks, normalised units
    single_click, otsu   what new tabs begin with; otsu None: as the segmenter needs it
    refine_options   for scripts/pipeline.py
    """

    root: Path
    mesh_path: Path
    output: OutputFolder
    palette: dict[str, Color] = field(default_factory=dict)
    ball_radius: float = 0.02
    single_click: bool = False
    otsu: bool | None = None
    refine_options: tuple[str, ...] = ()


class Studio:
    """The server.

    open_segmenter  makes a segmenter for a mesh, or raises UserError
    open_trained    likewise, from the folder that a refinement wrote
    open_kind       likewise, one of the kinds that `kinds` names for a mesh, which the person may choose between
    """

    def __init__(
        self,
        settings: Settings,
        open_segmenter: Callable[[Mesh], Opened],
        open_trained: Callable[[Mesh, Path], Opened],
        host: str = "127.0.0.1",
        port: int = 8080,
        *,
        open_kind: Callable[[Mesh, str], Opened] | None = None,
        kinds: Callable[[Mesh], Iterable[str]] = lambda mesh: (),
    ) -> None:
        self.settings, self.open_segmenter, self.open_trained = settings, open_segmenter, open_trained
        self._open_kind, self._offered = open_kind, kinds
        self._lock = threading.Lock()
        self._loaded: dict[Path, tuple[tuple[int, int], LoadedMesh]] = {}  # with the version of the file
        self._workspaces: OrderedDict[str, Workspace] = OrderedDict()
        self.pages: dict[int, Page] = {}
        self._refinements: dict[LoadedMesh, Refinement] = {}
        self.load(settings.mesh_path)  # what cannot be opened is refused before there is a server
        self.local = host in LOCAL_HOSTS
        with contextlib.redirect_stdout(io.StringIO()):  # it draws a box about itself
            self.server = viser.ViserServer(host=host, port=port, label="iSeg", verbose=False)
        self._refuse_sharing()
        self.server.gui.configure_theme(
            control_width="medium", show_share_button=False, show_logo=False, brand_color=(41, 102, 219)
        )
        self.server.on_client_connect(self._connect)
        self.server.on_client_disconnect(self._disconnect)

    @property
    def port(self) -> int:
        return self.server.get_port()

    def stop(self) -> None:
        """Close all tabs' connections and the server; end what runs for them."""
        for running in list(self._refinements.values()):
            running.cancel()
        for page in list(self.pages.values()):
            page.close()
        with contextlib.redirect_stdout(io.StringIO()):
            self.server.stop()

    def _refuse_sharing(self) -> None:
        """viser can open a tunnel to the outside when a client asks for it; nobody here did."""
        for message in (_messages.ShareUrlRequest, _messages.ShareUrlDisconnect):
            self.server._websock_server.unregister_handler(message)

    # --- tabs ------------------------------------------------------------------------------------

    async def _connect(self, client: viser.ClientHandle) -> None:
        from utils.viewer.page import Page

        if self._is_foreign(client):
            await self.server._websock_server._live_connections[client.client_id].close(1008, "open the page itself")
            return
        page = Page(self, client)
        self.pages[client.client_id] = page
        page.start()

    def _is_foreign(self, client: viser.ClientHandle) -> bool:
        """Is it a script of another web page, in a browser that can reach this server?"""
        headers = self.server._websock_server._live_connections[client.client_id].request.headers
        origin, host = headers.get("Origin"), headers.get("Host", "")
        if origin is None:  # not a browser
            return False
        return urlsplit(origin).netloc != host or (self.local and urlsplit(f"//{host}").hostname not in LOCAL_HOSTS)

    async def _disconnect(self, client: viser.ClientHandle) -> None:
        page = self.pages.pop(client.client_id, None)
        if page is not None:
            page.close()

    def workspace(self, token: str, client_id: int) -> Workspace:
        """The workspace that a reloaded tab had, or a new one: never one that another tab shows."""
        deadline = time.monotonic() + RELEASE_WAIT
        while (held := self._workspaces.get(token)) is not None:
            with self._lock:
                if held.shown_by is None:
                    held.shown_by = client_id
                    return held
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)  # a tab that is loaded again may come back before its old connection is gone
        loaded = self.load(self.settings.mesh_path)
        fresh = Workspace(
            secrets.token_hex(16), loaded, self.new_session(loaded), loaded.opened, loaded.opened, shown_by=client_id
        )
        with self._lock:
            self._workspaces[fresh.token] = fresh
            for old in [w for w in self._workspaces.values() if w.shown_by is None][
                : max(0, len(self._workspaces) - MAX_WORKSPACES)
            ]:
                del self._workspaces[old.token]
        return fresh

    def new_session(self, loaded: LoadedMesh) -> Session:
        """An empty session with the settings of the command line."""
        session = Session(loaded.mesh, loaded.opened.answers, loaded.surface)
        if self.settings.otsu is not None:
            session.set_threshold(None if self.settings.otsu else 0.5)
        return session

    # --- meshes ----------------------------------------------------------------------------------

    def load(self, path: Path) -> LoadedMesh:
        """A mesh that is ready for clicks; each is made ready once. UserError if that cannot be."""
        path = Path(path).resolve()
        version = (path.stat().st_mtime_ns, path.stat().st_size) if path.is_file() else None
        with self._lock:
            known, held = self._loaded.get(path, (None, None))
        if held is not None and known == version:
            return held
        mesh = load_mesh(path)
        loaded = LoadedMesh(mesh, self.open_segmenter(mesh))
        with self._lock:
            self._loaded[path] = (version, loaded)
        threading.Thread(target=loaded.surface.prepare, daemon=True).start()
        return loaded

    # --- what answers ----------------------------------------------------------------------------

    def kinds(self, loaded: LoadedMesh) -> list[str]:
        """What can answer clicks on a mesh, in a fixed order: kinds of `SegmenterNote`."""
        there = {*loaded.choices, *self._offered(loaded.mesh)}
        return [kind for kind in KINDS if kind in there]

    def choose(self, loaded: LoadedMesh, kind: str) -> Opened:
        """The segmenter of a kind, made ready when it is first asked for; UserError if it cannot be."""
        if kind not in loaded.choices:
            if self._open_kind is None or kind not in self.kinds(loaded):
                raise UserError("choose one of the list")
            opened = self._open_kind(loaded.mesh, kind)
            with self._lock:
                loaded.choices.setdefault(kind, opened)
        return loaded.choices[kind]

    # --- refinement ------------------------------------------------------------------------------

    def refinement_of(self, loaded: LoadedMesh) -> Refinement | None:
        """The training that runs for a mesh, if one does."""
        return self._refinements.get(loaded)

    def refine(self, loaded: LoadedMesh, command: list[str], directory: Path) -> Refinement:
        """Train a decoder for a mesh in the background, and answer with it when it is done."""
        known = threading.Event()

        def changed() -> None:
            known.wait()
            self._refinement_changed(loaded, running, directory)

        running = Refinement(command, changed, cwd=self.settings.root)
        self._refinements[loaded] = running
        known.set()
        self._tell(loaded, "", "")
        return running

    def _refinement_changed(self, loaded: LoadedMesh, running: Refinement, directory: Path) -> None:
        state, message = running.state, running.message
        if state != "running":
            self._refinements.pop(loaded, None)
            if state == "done":
                try:
                    loaded.use(self.open_trained(loaded.mesh, directory))
                except UserError as error:
                    state, message = "failed", str(error)
        self._tell(loaded, "" if state == "running" else state, message)

    def _tell(self, loaded: LoadedMesh, state: str, message: str) -> None:
        for page in list(self.pages.values()):
            page.post(
                lambda page=page: page.refinement_changed(loaded, state, message), key="" if state else "refinement"
            )

    # --- files -----------------------------------------------------------------------------------

    def mesh_files(self) -> dict[str, Path]:
        """Meshes that can be opened by name: those beside the first one, and those that were uploaded."""
        folders = [self.settings.mesh_path.resolve().parent, self.settings.output.root / "uploads"]
        found = [
            path
            for folder in folders
            if folder.is_dir()
            for path in sorted(folder.iterdir())
            if path.suffix.lower() in FORMATS and path.is_file()
        ]
        names: dict[str, Path] = {}
        for path in found:
            name = path.name if path.name not in names else f"{path.parent.name}/{path.name}"
            names[name] = path
        return names

    def store_upload(self, name: str, content: bytes) -> Path:
        """Keep an uploaded mesh in the output folder under a cleaned name; UserError if it is none."""
        stem, dot, suffix = str(name).replace("\\", "/").rsplit("/", 1)[-1].rpartition(".")
        if not dot or f".{suffix.lower()}" not in FORMATS:
            raise UserError(f"'{str(name)[-40:]}' is not a mesh: choose an OBJ, PLY, OFF, STL or GLB file")
        if not content or len(content) > MAX_UPLOAD:
            reason = (
                f"the file is larger than {MAX_UPLOAD >> 20} MB: open it by --obj_path"
                if content
                else "the file is empty"
            )
            raise UserError(reason)
        path = self.settings.output.path("uploads", stem or "mesh", suffix=f".{suffix.lower()}")
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and path.read_bytes() != content:
            path = self.settings.output.fresh("uploads", stem or "mesh", suffix=f".{suffix.lower()}")
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
        return path

    def session_files(self) -> dict[str, Path]:
        """Saved sessions by name, the newest first."""
        folder = self.settings.output.root
        found = (
            [path for path in folder.glob("*/*.session.json") if self.settings.output.holds(path)]
            if folder.is_dir()
            else []
        )
        found.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        return {f"{path.parent.name} / {path.name.removesuffix('.session.json')}": path for path in found}
