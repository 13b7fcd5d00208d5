"""The values behind the page: what the command line says, the meshes that are open, and what each tab works on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from utils.geometry.mesh import Mesh
from utils.output.export import Palette
from utils.progress import Progress
from utils.segmenter import Segmenter
from utils.session.answers import Answers
from utils.session.session import Session
from utils.session.surface import Surface
from utils.viewer.folder import OutputFolder

DEFAULT_PALETTE = Palette()
KINDS = ("prior", "trained", "instant")  # of segmenters, in the order in which they are offered


@dataclass(frozen=True)
class Settings:
    """What the command line says.

    mesh_path    to begin with
    output       folder of everything that is written
    ball_radius  of clicks, normalised units
    single_click, otsu   what new tabs begin with; otsu None: as the segmenter needs it
    script_wait  seconds for the page's script to answer before the mesh is shown without it
    release_wait seconds in which the old connection of a tab that is loaded again ends
    picture_size height and width of exported pictures, pixels
    """

    mesh_path: Path
    output: OutputFolder
    palette: Palette = DEFAULT_PALETTE
    ball_radius: float = 0.02
    single_click: bool = False
    otsu: bool | None = None
    script_wait: float = 15.0
    release_wait: float = 1.5
    picture_size: tuple[int, int] = (720, 960)


@dataclass(frozen=True)
class Models:
    """What the page needs of the models. All raise UserError for what a person can mend.

    open          makes a mesh ready: (mesh, kind), kind None: what the command line says
    kinds         which of `KINDS` a person may choose between for a mesh
    refine        trains a decoder for a mesh: (mesh file, folder of the run, query as on the command line, start over,
                  on_progress). It is sent to another process, so it must be picklable
    open_refined  what a refinement left in its folder: (mesh, folder)
    """

    open: Callable[[Mesh, str | None], Segmenter]
    kinds: Callable[[Mesh], Sequence[str]]
    refine: Callable[[Path, Path, str, bool, Progress], None]
    open_refined: Callable[[Mesh, Path], Segmenter]


class LoadedMesh:
    """A mesh with all that is computed once for it.

    answers  of clicks in new sessions
    choices  everything that was made ready to answer, by its kind; shared by all tabs, so that of a segmenter that
             learns there are never two, which would not know of each other's lessons
    """

    def __init__(self, mesh: Mesh, answers: Answers) -> None:
        self.mesh, self.surface = mesh, Surface(mesh)
        self.choices: dict[str, Answers] = {}
        self.use(answers)

    def use(self, answers: Answers) -> None:
        """Answer with this from now on."""
        self.answers = self.choices[answers.segmenter.kind] = answers

    @property
    def name(self) -> str:
        return self.mesh.path.name if self.mesh.path else "mesh"

    @property
    def stem(self) -> str:
        return self.mesh.path.stem if self.mesh.path else "mesh"

    @cached_property
    def normals(self) -> np.ndarray:
        """See `corner_normals`."""
        return corner_normals(self.mesh)


@dataclass(eq=False)
class View:
    """How one tab is set; undo does not change it. brush: "add", "erase" or "" for none; last_hit: a vertex."""

    single: bool = False
    exclude: bool = False
    soft: bool = False
    brush: str = ""
    brush_radius: float = 0.06
    last_hit: int | None = None


@dataclass(eq=False)
class Workspace:
    """One tab's work: its mesh and session, kept for when the tab is loaded again.

    default   what answered new sessions when that was decided: a refinement since then takes over
    shown_by  the client that shows it, None for none
    """

    token: str
    loaded: LoadedMesh
    session: Session
    default: Answers
    shown_by: int | None = None


def corner_normals(mesh: Mesh) -> np.ndarray:
    """(F, 3, 3) unit normals of the triangles' corners: smooth over soft edges, sharp over hard ones."""
    from utils.geometry.creases import split_at_creases

    split, _ = split_at_creases(mesh)
    return split.vertex_normals[split.faces]
