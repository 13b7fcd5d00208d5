"""Click on the mesh in the browser: select parts, correct, name, edit and export them (paper Sec. 3.3, Fig. 11)."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

# What computes is imported when it is needed: the page is there before it.
import utils.startup  # noqa: F401
from utils.errors import UserError, run_cli
from utils.options import CHECKPOINT_NAME, PRECISIONS, SEGMENTERS, MeshSettings, TeacherSettings, option, parse_settings
from utils.output.colors import Colors
from utils.progress import Progress, silent

if TYPE_CHECKING:
    from models.open import TrainedFiles
    from utils.geometry.mesh import Mesh
    from utils.segmenter import Segmenter
    from utils.viewer.server import Server

LOCAL = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class InteractiveSettings(Colors, TeacherSettings, MeshSettings):
    """The page and what answers on it."""

    segmenter: str = option(
        "auto",
        "what answers at first: trained: a decoder trained on this mesh; prior: one for all meshes; instant: iSeg3D, "
        "ready in a second; auto: trained if there is one, else prior",
        choices=("auto", *SEGMENTERS),
        group="segmenter",
    )
    encoder_f_path: Path | None = option(
        None, "feature field; default: experiments/NAME/encoder/pred_f.pth", metavar="FILE"
    )
    save_dir: Path | None = option(None, "of the decoder checkpoint; default: experiments/NAME/decoder")
    model_name: str = option(CHECKPOINT_NAME, "file of the checkpoint in --save_dir")
    precision: str = option("exact", "of a trained decoder; auto: the fastest", choices=PRECISIONS)
    host: str = option(
        LOCAL, f"address to listen on; {LOCAL} is this machine only, 0.0.0.0 everyone who can reach it", group="page"
    )
    port: int = option(8080, "the next free one is taken if it is in use")
    out_dir: Path = option(Path("experiments/interactive"), "the only folder that is written to")
    single_click: bool = option(False, "every click starts a new selection")
    otsu: bool | None = option(None, "start with Otsu's threshold; default: as the segmenter needs it")
    instant_weights: Path = Path(__file__).parent / "models" / "weights" / "iseg3d.pt"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sphere_radius > 0.5:
            raise UserError(
                f"--sphere_radius {self.sphere_radius:g} must be above 0 and at most 0.5; the object has radius 1"
            )
        if not 0 <= self.port <= 65535:
            raise UserError(f"--port {self.port} is not a port: give a number from 0 to 65535")
        if self.device not in ("auto", "cpu"):
            from utils.device import choose_device

            choose_device(self.device)

    def is_named(self, mesh: Mesh) -> bool:
        """Whether the command line says where a decoder of this mesh lies."""
        return self.is_first(mesh) and (self.encoder_f_path is not None or self.save_dir is not None)

    def is_first(self, mesh: Mesh) -> bool:
        """Whether it is the mesh of the command line."""
        return mesh.path is not None and Path(mesh.path).resolve() == Path(self.obj_path).resolve()

    def places(self, mesh: Mesh) -> list[TrainedFiles]:
        """Where a decoder trained on the mesh may lie: what the command line names, a refinement, the stages'."""
        from models.open import TrainedFiles, default_places
        from utils.viewer.folder import OutputFolder
        from utils.viewer.studio import REFINED

        stem = _stem(mesh)
        refined = TrainedFiles.of_run(OutputFolder(self.out_dir).path(stem, REFINED))
        (own,) = default_places(self.mesh_name if self.is_first(mesh) else stem)
        own = replace(own, checkpoint=own.checkpoint.with_name(self.model_name))
        if not self.is_named(mesh):
            return [refined, own]
        checkpoint = self.save_dir / self.model_name if self.save_dir else own.checkpoint
        return [TrainedFiles(checkpoint, self.encoder_f_path or own.features), refined]


def main(argv: list[str] | None = None) -> int:
    settings = parse_settings(InteractiveSettings, __doc__, argv)
    print(f"opening {settings.obj_path} ...", flush=True)
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    server = start(settings, lambda server: _announce(settings, server))
    try:
        first = server.studio.load(settings.obj_path)
        while not stopped.wait(0.2):
            if first.done.is_set() and first.problem:
                raise UserError(first.problem)
            if first.done.is_set():
                stopped.wait()
    except KeyboardInterrupt:
        pass
    finally:
        server.stop()
    if not first.done.is_set():  # threads that compute do not end with the interpreter, which breaks off over them
        sys.stdout.flush()
        os._exit(0)
    return 0


def _announce(settings: InteractiveSettings, server: Server) -> None:
    """Say where the page is."""
    if server.port != settings.port and settings.port:
        print(f"port {settings.port} is in use: took {server.port}", flush=True)
    who = "only this machine can open it" if server.local else "EVERYONE who knows this address can open it"
    print(f"open {server.address} in a browser ({who}; Ctrl-C stops)", flush=True)
    print(f"files go to {server.studio.settings.output.root}", flush=True)


def start(settings: InteractiveSettings, listening: Callable[[Server], object] = lambda server: None) -> Server:
    """A running page with its first mesh; UserError for what cannot be opened.

    listening: is called as soon as the page can be opened, before the mesh is read
    """
    try:
        from utils.viewer.server import LOCAL_HOSTS, Server
    except ImportError as error:
        raise UserError(f"the page needs viser ({error}); run: bash install_environment.sh") from error
    from utils.geometry.mesh import load_mesh
    from utils.viewer.folder import OutputFolder
    from utils.viewer.studio import Studio
    from utils.viewer.workspace import Models, Settings

    if not settings.obj_path.is_file():
        load_mesh(settings.obj_path)  # says so, before there is a page
    page = Settings(
        settings.obj_path,
        OutputFolder(settings.out_dir),
        settings.palette,
        settings.sphere_radius,
        settings.host not in LOCAL_HOSTS,
        settings.single_click,
        settings.otsu,
    )
    models = Models(
        open=partial(open_for_page, settings),
        kinds=partial(kinds_of, settings),
        refine=partial(refine, settings.device, settings.SAM),
        open_refined=lambda mesh, folder: open_for_page(settings, mesh, "trained", files=_of_run(folder)),
        meanwhile=partial(meanwhile, settings),
    )
    server = Server(Studio(page, models), settings.host, settings.port)
    listening(server)
    try:
        server.studio.load(settings.obj_path)
    except UserError:
        server.stop()
        raise
    return server


def _of_run(folder: Path) -> TrainedFiles:
    from models.open import TrainedFiles

    return TrainedFiles.of_run(folder)


def kinds_of(settings: InteractiveSettings, mesh: Mesh) -> list[str]:
    """What can answer on a mesh."""
    from models.open import kinds_for

    return kinds_for(settings.places(mesh), settings.instant_weights)


def meanwhile(settings: InteractiveSettings, mesh: Mesh) -> str:
    """What answers until the rest is ready: instant answers, where they are less than what is to come."""
    others = [kind for kind in kinds_of(settings, mesh) if kind != "prior"]
    return "instant" if others == ["instant"] and settings.segmenter != "instant" else ""


def open_for_page(
    settings: InteractiveSettings,
    mesh: Mesh,
    kind: str | None = None,
    on_progress: Progress = silent,
    files: TrainedFiles | None = None,
) -> Segmenter:
    """A segmenter of a kind, None for what the command line says; files: of the trained one, if they are known."""
    from models.open import open_segmenter
    from utils.viewer.folder import OutputFolder

    places = settings.places(mesh)
    if kind is None:
        kind = settings.segmenter
        if kind in ("auto", "trained") and settings.is_named(mesh):
            kind, files = "trained", places[0]
        elif kind == "trained" and not settings.is_first(mesh):
            kind = "auto"
    elif kind == "trained" and files is None and kind not in kinds_of(settings, mesh):
        raise UserError("there is no decoder trained on this mesh: refine it under Files first")
    return open_segmenter(
        mesh,
        kind,
        checkpoint=settings.instant_weights if kind == "instant" else None,
        places=places if files is None else [files],
        teacher=settings.SAM,
        device=settings.device,
        precision=settings.precision,
        cache_dir=OutputFolder(settings.out_dir).path(_stem(mesh), "prior"),
        on_progress=on_progress,
    )


def refine(
    device: str, teacher: str, mesh_path: Path, out_dir: Path, query: str, start_over: bool, on_progress: Progress
) -> None:
    """Refine the prior decoder on one mesh (`utils.viewer.workspace.Models.refine`)."""
    from models.pipeline import PipelineSettings, run_pipeline

    settings = PipelineSettings(
        obj_path=mesh_path,
        out_dir=out_dir,
        preset="refine",
        SAM=teacher,
        device=device,
        queries=(query,),
        overwrite=start_over,
    )
    run_pipeline(settings, on_progress)


def _stem(mesh: Mesh) -> str:
    return Path(mesh.path).stem if mesh.path else "mesh"


if __name__ == "__main__":
    run_cli(main)
