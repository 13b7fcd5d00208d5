"""Click on the mesh in the browser: select parts, correct, name, edit and export them (paper Sec. 3.3, Fig. 11)."""

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path

from models.iseg.segmenter import PRECISIONS, DecoderSegmenter
from models.iseg3d import segmenter as iseg3d_segmenter
from models.prior.segmenter import WEIGHTS, PriorSegmenter, is_refined_prior
from SAM_repo.teacher import load_teacher
from utils.device import choose_device
from utils.errors import UserError, run_cli
from utils.files import digest
from utils.geometry.mesh import Mesh
from utils.options import add_mesh_options, add_teacher_options, flag
from utils.output.export import BASE_COLOR, NEGATIVE_COLOR, POSITIVE_COLOR, SELECTION_COLOR, SPHERE_RADIUS
from utils.session.files import SegmenterNote
from utils.viewer.folder import OutputFolder

LOCAL = "127.0.0.1"
ROOT = Path(__file__).resolve().parent
SEGMENTERS = ("auto", "trained", "prior", "instant")


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add_mesh_options(parser)
    group = parser.add_argument_group("segmenter")
    group.add_argument(
        "--segmenter",
        choices=SEGMENTERS,
        default="auto",
        help="what answers at first: trained: a decoder trained on this mesh; prior: one for all meshes; instant: iSeg3D, "
        "ready in a second; auto: trained if there is one, else prior",
    )
    group.add_argument("--name", help="of the mesh, in the default folders; default: the file's name")
    group.add_argument(
        "--encoder_f_path",
        type=Path,
        metavar="FILE",
        help="feature field; default: experiments/NAME/encoder/pred_f.pth",
    )
    group.add_argument("--save_dir", type=Path, help="of the decoder checkpoint; default: experiments/NAME/decoder")
    group.add_argument("--model_name", default="decoder_checkpoint.pth", help="file of the checkpoint in --save_dir")
    group.add_argument(
        "--precision", choices=PRECISIONS, default="exact", help="of a trained decoder; auto: the fastest"
    )
    add_teacher_options(parser)
    group = parser.add_argument_group("page")
    group.add_argument(
        "--host",
        default=LOCAL,
        help=f"address to listen on; {LOCAL} is this machine only, 0.0.0.0 everyone who can reach it",
    )
    group.add_argument("--port", type=int, default=8080, help="the next free one is taken if it is in use")
    group.add_argument(
        "--out_dir", type=Path, default=Path("experiments/interactive"), help="the only folder that is written to"
    )
    group.add_argument(
        "--single_click", type=flag, default=False, metavar="0|1", help="every click starts a new selection"
    )
    group.add_argument(
        "--otsu", type=flag, metavar="0|1", help="start with Otsu's threshold; default: as the segmenter needs it"
    )
    group.add_argument(
        "--sphere_radius", type=float, default=SPHERE_RADIUS, help="of the click balls; the object has radius 1"
    )
    for name, color in (
        ("base_color", BASE_COLOR),
        ("seg_color", SELECTION_COLOR),
        ("pos_color", POSITIVE_COLOR),
        ("neg_color", NEGATIVE_COLOR),
    ):
        group.add_argument(f"--{name}", type=float, nargs=3, default=color, metavar=("R", "G", "B"), help="0 to 1")
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    print(f"making {args.obj_path} ready ...", flush=True)
    studio = start(args)
    address = "127.0.0.1" if args.host in ("0.0.0.0", "") else args.host
    local = args.host in (LOCAL, "localhost", "::1")
    who = "only this machine can open it" if local else "EVERYONE who can reach this machine can open it"
    print(f"open http://{address}:{studio.port} in a browser ({who}; Ctrl-C stops)", flush=True)
    print(f"files go to {studio.settings.output.root}", flush=True)
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    try:
        stopped.wait()
    except KeyboardInterrupt:
        pass
    finally:
        studio.stop()
    return 0


def start(args: argparse.Namespace):
    """A running `Studio`; UserError for what cannot be opened."""
    try:
        from utils.viewer.studio import Settings, Studio
    except ImportError as error:
        raise UserError(f"the page needs viser ({error}); run: bash install_environment.sh") from error
    palette = {
        "base": args.base_color,
        "selected": args.seg_color,
        "positive": args.pos_color,
        "negative": args.neg_color,
    }
    for name, color in palette.items():
        if not all(0 <= channel <= 1 for channel in color):
            raise UserError(f"the {name} colour must be three numbers from 0 to 1")
    if not 0 < args.sphere_radius <= 0.5:
        raise UserError(
            f"--sphere_radius {args.sphere_radius:g} must be above 0 and at most 0.5; the object has radius 1"
        )
    if not 0 <= args.port <= 65535:
        raise UserError(f"--port {args.port} is not a port: give a number from 0 to 65535")
    settings = Settings(
        ROOT,
        args.obj_path,
        OutputFolder(args.out_dir),
        {name: tuple(color) for name, color in palette.items()},
        args.sphere_radius,
        args.single_click,
        args.otsu,
        ("--device", args.device, "--SAM", args.SAM),
    )
    segmenters = Segmenters(args, settings.output)
    return Studio(
        settings,
        segmenters.open,
        segmenters.open_refined,
        args.host,
        args.port,
        open_kind=segmenters.open_kind,
        kinds=segmenters.kinds,
    )


class Segmenters:
    """Finds or makes the segmenter of a mesh."""

    def __init__(self, args: argparse.Namespace, output: OutputFolder) -> None:
        self.args, self.output, self.device = args, output, choose_device(args.device)
        self._teacher = None

    def open(self, mesh: Mesh):
        """What --segmenter says; auto: a decoder that was trained on the mesh, if there is one that fits, else the prior one."""
        args, first = self.args, self._is_first(mesh)
        if args.segmenter == "instant":
            return self._instant(mesh)
        if args.segmenter != "prior":
            named = first and (args.encoder_f_path is not None or args.save_dir is not None)
            required = named or (args.segmenter == "trained" and first)
            places = self._places(mesh)
            for features, directory in places:
                checkpoint = directory / args.model_name
                if not required and not _is_there(features, checkpoint):
                    continue
                try:
                    return self._trained(mesh, features, checkpoint)
                except UserError as error:
                    if required and (named or (features, directory) == places[-1]):
                        raise
                    print(f"note: {error}", flush=True)
        return self._prior(mesh)

    def kinds(self, mesh: Mesh) -> list[str]:
        """What can be chosen on the page for a mesh, of the kinds of `SegmenterNote`."""
        kinds = ["prior"]
        if self._found(mesh) is not None:
            kinds.append("trained")
        if iseg3d_segmenter.WEIGHTS.is_file():
            kinds.append("instant")
        return kinds

    def open_kind(self, mesh: Mesh, kind: str):
        """One of `kinds`."""
        if kind == "instant":
            return self._instant(mesh)
        if kind == "prior":
            return self._prior(mesh)
        found = self._found(mesh)
        if found is None:
            raise UserError("there is no decoder trained on this mesh: refine it under Files first")
        return self._trained(mesh, *found)

    def _found(self, mesh: Mesh) -> tuple[Path, Path] | None:
        """Features and checkpoint of a decoder trained on the mesh, the first that is there."""
        for features, directory in self._places(mesh):
            checkpoint = directory / self.args.model_name
            if _is_there(features, checkpoint):
                return features, checkpoint
        return None

    def _places(self, mesh: Mesh) -> list[tuple[Path, Path]]:
        """Where a trained decoder may be: features, and folder of the checkpoint; what the command line names comes first."""
        args, first = self.args, self._is_first(mesh)
        name = (args.name if first else None) or Path(mesh.path).stem
        features, directory = (
            Path("experiments") / name / "encoder" / "pred_f.pth",
            Path("experiments") / name / "decoder",
        )
        if first:
            features, directory = args.encoder_f_path or features, args.save_dir or directory
        named = first and (args.encoder_f_path is not None or args.save_dir is not None)
        places = [(features, directory)]
        refined = self.output.path(Path(mesh.path).stem, "refined")
        places.insert(1 if named else 0, (refined / "encoder" / "pred_f.pth", refined / "decoder"))
        return places

    def _is_first(self, mesh: Mesh) -> bool:
        """Is it the mesh of the command line?"""
        return Path(mesh.path).resolve() == Path(self.args.obj_path).resolve()

    def open_refined(self, mesh: Mesh, directory: Path):
        """The decoder that a refinement wrote into `directory`."""
        return self._trained(
            mesh, directory / "encoder" / "pred_f.pth", directory / "decoder" / "decoder_checkpoint.pth"
        )

    def _trained(self, mesh: Mesh, features: Path, checkpoint: Path):
        from utils.viewer.studio import Opened

        if is_refined_prior(checkpoint):
            return self._prior(mesh, checkpoint)
        segmenter = DecoderSegmenter.load(checkpoint, features, mesh, self.device, self.args.precision)
        identity = digest(checkpoint.read_bytes(), features.read_bytes(), self.args.precision)
        note = SegmenterNote("trained", identity, str(checkpoint), str(features), self.args.precision)
        return Opened(segmenter, note, "decoder trained on this mesh")

    def _prior(self, mesh: Mesh, refined: Path | None = None):
        from utils.viewer.studio import Opened

        if self._teacher is None:  # the prior belongs to the embedded teacher, whatever larger one there may be
            self._teacher = load_teacher("vit_t" if self.args.SAM == "auto" else self.args.SAM, device=self.device)
        segmenter = PriorSegmenter(
            mesh, self._teacher, self.output.path(Path(mesh.path).stem, "prior"), refined or WEIGHTS
        )
        identity = digest((refined or WEIGHTS).read_bytes(), self._teacher.name)
        if refined is not None:
            return Opened(
                segmenter, SegmenterNote("trained", identity, str(refined)), "prior decoder refined on this mesh"
            )
        return Opened(segmenter, SegmenterNote("prior", identity), "prior decoder")

    def _instant(self, mesh: Mesh):
        from utils.viewer.studio import Opened

        weights = iseg3d_segmenter.WEIGHTS
        segmenter = iseg3d_segmenter.Iseg3dSegmenter(mesh, weights, self.device)
        return Opened(
            segmenter, SegmenterNote("instant", digest(weights.read_bytes()), str(weights)), "instant (iSeg3D)"
        )


def _is_there(features: Path, checkpoint: Path) -> bool:
    """Whether a decoder trained on the mesh lies there; the prior refined on it needs no features."""
    return checkpoint.is_file() and (features.is_file() or is_refined_prior(checkpoint))


if __name__ == "__main__":
    run_cli(main)
