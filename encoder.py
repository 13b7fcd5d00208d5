"""Encoder stage: render views of a mesh, embed them with the teacher, and distil the mesh feature field (paper Sec. 3.1)."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from tqdm import tqdm

from models.iseg.distillation import FieldTraining, collapse_views, distill_collapsed, distill_rendered
from models.iseg.field import FeatureField, FieldConfig
from SAM_repo.automatic_masks import automatic_masks
from SAM_repo.teacher import SamTeacher, load_teacher
from utils.device import choose_device
from utils.errors import UserError, run_cli
from utils.files import digest, load_torch, save_json, save_torch
from utils.geometry.mesh import Mesh, load_mesh
from utils.options import add_mesh_options, add_render_options, add_teacher_options, flag, positive_int
from utils.output.figures import save_mask_comparison
from utils.rendering.cameras import orbit_cameras
from utils.rendering.rasterize import Rasterizer
from utils.rendering.shading import interpolate
from utils.rendering.view_pool import SAMPLINGS, ViewPool, ViewSettings, build_view_pool, open_view_pool, render_views


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add_mesh_options(parser)
    group = parser.add_argument_group("what to do and where")
    group.add_argument("--name", help="of the mesh, in the default folders; default: the file's name")
    group.add_argument("--encoder_data_dir", type=Path, help="views and embeddings; default: data/NAME/encoder_data")
    group.add_argument("--encoder_model_dir", type=Path, help="trained field; default: experiments/NAME/encoder")
    group.add_argument(
        "--generate_random_views", type=flag, default=True, metavar="0|1", help="render and embed the views"
    )
    group.add_argument(
        "--start_training", type=flag, default=True, metavar="0|1", help="train the field and write pred_f.pth"
    )
    group.add_argument(
        "--test",
        type=flag,
        default=False,
        metavar="0|1",
        help="draw SAM's automatic masks from its own features beside those from the rendered field",
    )
    group.add_argument("--overwrite", type=flag, default=False, metavar="0|1", help="start over instead of resuming")
    add_render_options(parser)
    group = parser.add_argument_group("views")
    group.add_argument("--n_views", type=positive_int, default=1000, help="views in the pool")
    group.add_argument(
        "--view_sampling",
        choices=SAMPLINGS,
        default="front",
        help="front: published encoder views; uniform: published decoder views; sphere: evenly spread",
    )
    group.add_argument("--frontview_std", type=float, default=4.0, help="divides pi and 2 pi in the front sampling")
    group.add_argument(
        "--mesh_color", type=float, nargs=3, default=(2 / 3, 2 / 3, 2 / 3), metavar=("R", "G", "B"), help="0 to 1"
    )
    add_teacher_options(parser)
    group = parser.add_argument_group("field")
    group.add_argument("--depth", type=int, default=4, help="hidden layers after the first")
    group.add_argument("--width", type=positive_int, default=256, help="of the hidden layers")
    group.add_argument(
        "--n_classes", type=positive_int, default=256, help="channels of the field; the teacher's embedding has 256"
    )
    group.add_argument(
        "--positional_encoding", type=flag, default=True, metavar="0|1", help="Gaussian Fourier features"
    )
    group.add_argument("--sigma", type=float, default=5.0, help="of the Fourier features")
    group = parser.add_argument_group("training")
    group.add_argument(
        "--distillation",
        choices=("collapsed", "rendered"),
        default="collapsed",
        help="collapsed: all views in every step, exactly; rendered: one view a step, as published",
    )
    group.add_argument("--steps", type=positive_int, default=400, help="of the collapsed training")
    group.add_argument(
        "--num_epochs", type=positive_int, default=3, help="passes over the views of the rendered training"
    )
    group.add_argument("--learning_rate", type=float, default=1e-3, help="of Adam")
    group.add_argument("--batch_size", type=positive_int, default=8, help="views embedded at once")
    group.add_argument("--save_interval", type=float, default=20.0, metavar="S", help="seconds between checkpoints")
    group = parser.add_argument_group("test")
    group.add_argument(
        "--test_elev_deg", type=float, nargs="+", default=[0.0, 30.0], help="elevations of the test views, degrees"
    )
    group.add_argument(
        "--test_azim_deg", type=float, nargs="+", default=[0.0, 60.0], help="azimuths of the test views, degrees"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    name = args.name or args.obj_path.stem
    data_dir = args.encoder_data_dir or Path("data") / name / "encoder_data"
    model_dir = args.encoder_model_dir or Path("experiments") / name / "encoder"
    settings = ViewSettings(
        args.view_sampling,
        args.n_views,
        args.radius,
        args.render_res,
        args.frontview_std,
        tuple(args.background),
        tuple(args.mesh_color),
        args.seed,
    )
    device = choose_device(args.device)
    mesh = load_mesh(args.obj_path)
    rasterizer = Rasterizer(mesh, args.renderer, device)
    teacher = load_teacher(args.SAM, device=device) if args.generate_random_views or args.test else None

    if args.generate_random_views:
        started = time.perf_counter()
        build_view_pool(data_dir, rasterizer, teacher, settings, args.batch_size, args.overwrite)
        print(f"views: {data_dir} ({args.n_views} views by {teacher.name}, {time.perf_counter() - started:.1f} s)")
    if args.start_training:
        pool = open_view_pool(data_dir, mesh)
        if args.n_classes != pool.embedding_shape[0]:
            raise UserError(
                f"--n_classes {args.n_classes} does not match the teacher's {pool.embedding_shape[0]} channels"
            )
        train(mesh, rasterizer, pool, model_dir, args)
    if args.test:
        elevations, azimuths = torch.tensor(args.test_elev_deg), torch.tensor(args.test_azim_deg)
        if len(elevations) != len(azimuths):
            raise UserError("--test_elev_deg and --test_azim_deg need equally many angles")
        path = compare_automatic_masks(
            rasterizer,
            teacher,
            load_features(model_dir, mesh),
            settings,
            elevations.deg2rad(),
            azimuths.deg2rad(),
            model_dir / "automatic_masks.png",
        )
        print(f"automatic masks: {path}")
    return 0


def load_features(model_dir: Path, mesh: Mesh) -> torch.Tensor:
    """The trained field (V, 256); UserError if it is missing or belongs to another mesh."""
    features = load_torch(model_dir / "pred_f.pth", what="feature field")
    if len(features) != mesh.num_vertices:
        raise UserError(
            f"{model_dir / 'pred_f.pth'} has {len(features)} vertices but {mesh.path} has {mesh.num_vertices}; "
            "train the field of this mesh first"
        )
    return features


def compare_automatic_masks(
    rasterizer: Rasterizer,
    teacher: SamTeacher,
    features: torch.Tensor,
    settings: ViewSettings,
    elevation: torch.Tensor,
    azimuth: torch.Tensor,
    path: Path,
) -> Path:
    """Draw the automatic masks SAM makes from its own features beside those from the rendered field (the authors' figure).

    features (V, 256); elevation, azimuth (N,) radians. The field is rendered at the embedding's resolution; off the
    object, where it has no value, SAM's own features stay.
    """
    cameras = orbit_cameras(elevation, azimuth, settings.radius, size=(settings.render_res,) * 2)
    images = render_views(rasterizer, cameras, settings)
    embeddings = teacher.embed(images)
    raster = rasterizer(cameras.resized(teacher.embedding_shape[1:]))
    rendered = interpolate(rasterizer.mesh, raster, features.to(rasterizer.device)).permute(0, 3, 1, 2).to(embeddings)
    rendered = torch.where(raster.covered[:, None].to(embeddings.device), rendered, embeddings)
    masks = {"SAM's own features": [], "rendered feature field": []}
    for image, own, field in zip(
        tqdm(images.cpu().numpy(), desc="automatic masks", unit="view", disable=None), embeddings, rendered
    ):
        for title, embedding in zip(masks, (own, field)):
            masks[title].append(automatic_masks(teacher.sam, image, embedding))
    save_mask_comparison(path, images.cpu().numpy(), masks)
    return path


def train(mesh: Mesh, rasterizer: Rasterizer, pool: ViewPool, model_dir: Path, args: argparse.Namespace) -> None:
    """Train the field, or finish an interrupted training; writes pred_f.pth, pred_f.json and encoder_checkpoint.pth."""
    started = time.perf_counter()
    loss = collapse_views(pool, rasterizer, pool.directory / "collapsed.pth")
    config = FieldConfig(
        args.depth, args.width, args.n_classes, args.positional_encoding, args.sigma, _output_scale(pool)
    )
    generator = torch.Generator().manual_seed(args.seed)
    field = FeatureField(config, generator).to(rasterizer.device)
    training = FieldTraining(field, torch.optim.Adam(field.parameters(), lr=args.learning_rate), [])
    total = args.steps if args.distillation == "collapsed" else args.num_epochs * len(pool)
    run = {
        "config": field.config_dict(),
        "mesh_digest": mesh.digest,
        "teacher": pool.teacher_name,
        "seed": args.seed,
        "views": repr(pool.settings.to_dict()),
        "distillation": args.distillation,
        "steps": total,
        "learning_rate": args.learning_rate,
    }
    checkpoint = model_dir / "encoder_checkpoint.pth"
    if checkpoint.is_file() and not args.overwrite:
        held = load_torch(checkpoint, rasterizer.device, "encoder checkpoint")
        if held.get("run") == run:
            training.restore(held)
        elif held.get("run", {}).get("mesh_digest") not in (None, mesh.digest):
            raise UserError(f"{model_dir} holds the field of another mesh; choose another folder or add --overwrite 1")

    saved = [time.perf_counter()]

    def save(step: int) -> None:
        if step == total or time.perf_counter() - saved[0] > args.save_interval:
            save_torch(checkpoint, {**training.state(), "run": run})
            saved[0] = time.perf_counter()

    resumed_at = len(training.losses)
    positions = torch.from_numpy(mesh.normalized).to(rasterizer.device)
    if args.distillation == "collapsed":
        distill_collapsed(training, positions, loss, total, args.learning_rate, save)
    else:
        distill_rendered(training, positions, pool, rasterizer, args.num_epochs, generator, save)
    with torch.no_grad():
        features = field(positions).cpu()
        final = float(loss(features.to(rasterizer.device)))
    save_torch(model_dir / "pred_f.pth", features)
    save_json(
        model_dir / "pred_f.json",
        {
            "mesh_digest": mesh.digest,
            "features_digest": digest(features),
            "teacher": pool.teacher_name,
            "mean_squared_error": final,
            "run": run,
        },
    )
    print(
        f"field: {model_dir / 'pred_f.pth'} ({mesh.num_vertices} x {args.n_classes}, mean squared error {final:.5f}, "
        f"{total - resumed_at} steps, {time.perf_counter() - started:.1f} s)"
    )


def _output_scale(pool: ViewPool) -> float:
    """1 as published where the embeddings hardly leave [-1, 1] (SAM's do not), else their reach in the first view."""
    reach = float(pool.embedding(0).abs().flatten().kthvalue(int(0.999 * pool.embedding(0).numel())).values)
    return 1.0 if reach <= 1.5 else round(reach, 2)


if __name__ == "__main__":
    run_cli(main)
