"""The values behind the page: what the command line says, the meshes that are open, and what each tab works on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from utils.geometry.mesh import Mesh
from utils.geometry.symmetry import mirror_planes, standing
from utils.output.colors import Palette
from utils.progress import Progress
from utils.segmenter import Segmenter
from utils.session.answers import Answers, NotReady
from utils.session.journal import Journal
from utils.session.session import Session
from utils.session.state import Proposals
from utils.session.surface import Surface
from utils.viewer.folder import OutputFolder

DEFAULT_PALETTE = Palette()


@dataclass(frozen=True)
class Settings:
    """What the command line says.

    mesh_path    to begin with
    output       folder of everything that is written
    ball_radius  of clicks, normalised units
    shared       can others than this machine's user open it? Then only this mesh, uploads and its sessions are read
    single_click, otsu   what new tabs begin with; otsu None: as the segmenter needs it
    script_wait  seconds for the page's script to answer before the mesh is shown without it
    mesh_first   is the mesh shown before what answers is made ready? else after
    release_wait seconds in which the old connection of a tab that is loaded again ends
    picture_size height and width of exported pictures, pixels
    """

    mesh_path: Path
    output: OutputFolder
    palette: Palette = DEFAULT_PALETTE
    ball_radius: float = 0.02
    shared: bool = False
    single_click: bool = False
    otsu: bool | None = None
    script_wait: float = 15.0
    mesh_first: bool = True
    release_wait: float = 1.5
    picture_size: tuple[int, int] = (720, 960)


@dataclass(frozen=True)
class Models:
    """What the page needs of the models. All raise UserError for what a person can mend.

    open          makes a mesh ready: (mesh, kind, on_progress), kind None: what the command line says
    meanwhile     the kind that answers a mesh until then, "" for none
    kinds         which of `SEGMENTERS` a person may choose between for a mesh
    refine        trains a decoder for a mesh: (mesh file, folder of the run, query as on the command line, start over,
                  on_progress). It is sent to another process, so it must be picklable
    open_refined  what a refinement left in its folder: (mesh, folder)
    """

    open: Callable[[Mesh, str | None, Progress], Segmenter]
    kinds: Callable[[Mesh], Sequence[str]]
    refine: Callable[[Path, Path, str, bool, Progress], None]
    open_refined: Callable[[Mesh, Path], Segmenter]
    meanwhile: Callable[[Mesh], str] = lambda mesh: ""


class LoadedMesh:
    """A mesh with all that is computed once for it.

    answers  of clicks in new sessions; `NotReady` at first
    choices  everything that was made ready to answer, by its kind; shared by all tabs, so that of a segmenter that
             learns there are never two, which would not know of each other's lessons
    shown    some tab has it
    usable   something answers, or nothing can
    done     what the command line says answers, or cannot
    problem  why it cannot
    colors   (F, 3, 3) uint8 of the file itself (`corner_colors`), as soon as they are read; None for none
    """

    def __init__(self, mesh: Mesh) -> None:
        self.mesh, self.surface = mesh, Surface(mesh)
        self.answers = Answers(NotReady(mesh))
        self.choices: dict[str, Answers] = {}
        self.shown, self.usable, self.done = threading.Event(), threading.Event(), threading.Event()
        self.problem = ""
        self.colors: np.ndarray | None = None

    def use(self, answers: Answers) -> None:
        """Answer with this from now on."""
        self.answers = self.choices[answers.segmenter.kind] = answers
        self.usable.set()

    @property
    def name(self) -> str:
        return self.mesh.path.name if self.mesh.path else "mesh"

    @property
    def stem(self) -> str:
        return self.mesh.path.stem if self.mesh.path else "mesh"

    @cached_property
    def _mirrors(self) -> np.ndarray:
        return mirror_planes(self.mesh)

    @property
    def up(self) -> int:
        """The axis that points up, 1 or 2: the usual one, unless only the other lies in a plane of symmetry."""
        return 2 if standing(self._mirrors, 1) is None and standing(self._mirrors, 2) is not None else 1

    def stands(self, up: int) -> np.ndarray:
        """(3, 3) whose columns point right, up and to the object's front: by its symmetry, else by the file's axes."""
        by_axes = np.eye(3) if up == 1 else np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])
        by_itself = standing(self._mirrors, up)
        return by_axes if by_itself is None else by_itself

    @cached_property
    def normals(self) -> np.ndarray:
        """(F, 3, 3) for shading; see `corner_normals`."""
        from utils.geometry.creases import corner_normals  # what it imports can wait until there is a mesh

        return corner_normals(self.mesh)


@dataclass(eq=False)
class View:
    """How one tab is set; undo does not change it.

    brush      "add", "erase" or "" for none
    last_hit   a vertex
    up         the axis that points up, 1 or 2
    colored    are the colours of the file shown, where it has some?
    dark       is the page in dark colours?
    selecting  does a click on a proposal select it? else it keeps it
    marked     a proposal that is to be merged with another, and what was proposed then
    """

    single: bool = False
    exclude: bool = False
    soft: bool = False
    brush: str = ""
    brush_radius: float = 0.06
    last_hit: int | None = None
    up: int = 1
    colored: bool = True
    dark: bool = False
    selecting: bool = False
    marked: tuple[Proposals, int] | None = None

    def marked_of(self, proposals: Proposals | None) -> int | None:
        """The place of the marked one, if it is one of these."""
        return self.marked[1] if self.marked is not None and self.marked[0] is proposals else None


@dataclass(eq=False)
class Workspace:
    """One tab's work: its mesh and session, kept for when the tab is loaded again.

    journal   the file that the session is kept in, step by step
    default   what answered new sessions when that was decided: what is made ready since then takes over
    saved     how much of the session's log is in a session file
    shown_by  the client that shows it, None for none
    """

    token: str
    loaded: LoadedMesh
    journal: Journal
    shown_by: int | None = None
    saved: int = 0

    def __post_init__(self) -> None:
        self.begin(self.loaded, self.journal)

    def begin(self, loaded: LoadedMesh, journal: Journal) -> None:
        """Work on this from now on."""
        self.loaded, self.journal, self.default = loaded, journal, loaded.answers
        self.saved = len(journal.session.log)

    @property
    def session(self) -> Session:
        return self.journal.session

    @property
    def unsaved(self) -> bool:
        """Is there work that is in no session file?"""
        return any(entry["op"] not in ("use", "reopened") for entry in self.session.log[self.saved :])
