"""The encoder stage: views of a mesh, embedded by the teacher, and the feature field distilled from them (Sec. 3.1)."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from models.iseg.checkpoint import load_features
from models.iseg.distillation import (
    FieldTraining,
    collapse_views,
    distill_collapsed,
    distill_rendered,
    features_at,
    joined_vertices,
)
from models.iseg.field import FeatureField, FieldConfig
from SAM_repo.teacher import SamTeacher, load_teacher
from utils.device import choose_device
from utils.errors import UserError
from utils.files import digest, load_json, load_torch, save_json, save_torch
from utils.folders import differing
from utils.geometry.mesh import Mesh, load_mesh
from utils.options import (
    COUNT_OR_NONE,
    RATE,
    Color,
    MeshSettings,
    RenderSettings,
    TeacherSettings,
    color_option,
    option,
    part_of,
    positive_int,
)
from utils.progress import Progress, silent, track
from utils.rendering.cameras import orbit_cameras
from utils.rendering.rasterize import Rasterizer
from utils.rendering.shading import interpolate
from utils.rendering.view_pool import SAMPLINGS, ViewPool, ViewSettings, build_view_pool, open_view_pool, render_views
from utils.teacher import Teacher
from utils.training import Saver, restored

CHECKPOINT = "encoder_checkpoint.pth"


@dataclass(frozen=True, kw_only=True)
class EncoderSettings(FieldConfig, TeacherSettings, RenderSettings, MeshSettings):
    """Everything the encoder stage can be told; the defaults are the published ones."""

    encoder_data_dir: Path | None = option(
        None, "views and embeddings; default: data/NAME/encoder_data", group="what to do and where"
    )
    encoder_model_dir: Path | None = option(None, "trained field; default: experiments/NAME/encoder")
    generate_random_views: bool = option(True, "render and embed the views")
    start_training: bool = option(True, "train the field and write pred_f.pth")
    test: bool = option(False, "draw SAM's automatic masks from its own features beside those from the rendered field")
    overwrite: bool = option(False, "start over instead of resuming")
    n_views: int = option(1000, "views in the pool", within="[1, 100000]", group="views")
    view_sampling: str = option(
        "front",
        "front: published encoder views; uniform: published decoder views; sphere: evenly spread",
        choices=SAMPLINGS,
    )
    frontview_std: float = option(4.0, "divides pi and 2 pi in the front sampling", within="[0.01, 1000]")
    mesh_color: Color = color_option((2 / 3, 2 / 3, 2 / 3))
    distillation: str = option(
        "collapsed",
        "collapsed: all views in every step, exactly; rendered: one view a step, as published",
        choices=("collapsed", "rendered"),
        group="training",
    )
    steps: int = option(400, "of the collapsed training", type=positive_int)
    num_epochs: int = option(3, "passes over the views of the rendered training", type=positive_int)
    learning_rate: float = option(1e-3, "of Adam", within=RATE)
    batch_size: int = option(8, "views embedded at once", within="[1, 1024]")
    save_interval: float = option(20.0, "seconds between checkpoints", within=COUNT_OR_NONE, metavar="S")
    test_elev_deg: tuple[float, ...] = option(
        (0.0, 30.0), "elevations of the test views, degrees", within="[-90, 90]", group="test"
    )
    test_azim_deg: tuple[float, ...] = option((0.0, 60.0), "azimuths of the test views, degrees", within="[-360, 360]")

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.test_elev_deg) != len(self.test_azim_deg):
            raise UserError("--test_elev_deg and --test_azim_deg need equally many angles")

    @property
    def data_dir(self) -> Path:
        return self.encoder_data_dir or Path("data") / self.mesh_name / "encoder_data"

    @property
    def model_dir(self) -> Path:
        return self.encoder_model_dir or Path("experiments") / self.mesh_name / "encoder"

    @property
    def views(self) -> ViewSettings:
        return ViewSettings(
            self.view_sampling,
            self.n_views,
            self.radius,
            self.render_res,
            self.frontview_std,
            self.background,
            self.mesh_color,
            self.seed,
        )


def distill(settings: EncoderSettings, on_progress: Progress = silent, teacher: Teacher | None = None) -> None:
    """Run the stage: embed the views, train the field, draw the test; finished work is kept, interrupted work goes on.

    teacher: in place of the one that `settings.SAM` names. Raises UserError for what a person can mend.
    """
    device = choose_device(settings.device)
    mesh = load_mesh(settings.obj_path)
    rasterizer = Rasterizer(mesh, settings.renderer, device)
    if teacher is None and (settings.generate_random_views or settings.test):
        teacher = load_teacher(settings.SAM, device=device)
    if settings.generate_random_views and teacher is not None:
        started = time.perf_counter()
        how = (settings.views, settings.batch_size, settings.overwrite, on_progress)
        build_view_pool(settings.data_dir, rasterizer, teacher, *how)
        spent = time.perf_counter() - started
        print(f"views: {settings.data_dir} ({settings.n_views} views by {teacher.name}, {spent:.1f} s)")
    if settings.start_training:
        pool = open_view_pool(settings.data_dir, mesh)
        if settings.n_classes != pool.embedding_shape[0]:
            raise UserError(
                f"--n_classes {settings.n_classes} does not match the teacher's {pool.embedding_shape[0]} channels"
            )
        train_field(settings, mesh, rasterizer, pool, on_progress)
    if settings.test:
        if not isinstance(teacher, SamTeacher):
            raise UserError("--test needs SAM as the teacher")
        path = settings.model_dir / "automatic_masks.png"
        features, _ = load_features(settings.model_dir / "pred_f.pth", mesh)
        compare_automatic_masks(settings, rasterizer, teacher, features, path, on_progress)
        print(f"automatic masks: {path}")


def train_field(
    settings: EncoderSettings, mesh: Mesh, rasterizer: Rasterizer, pool: ViewPool, on_progress: Progress = silent
) -> None:
    """Train the field, or finish an interrupted training; writes pred_f.pth, pred_f.json and encoder_checkpoint.pth."""
    started = time.perf_counter()
    collapsed = settings.distillation == "collapsed"
    positions = torch.from_numpy(mesh.normalized).to(rasterizer.device)
    place, trained_at = joined_vertices(mesh) if collapsed else (None, positions)
    loss = collapse_views(pool, rasterizer, pool.directory / "collapsed.pth", on_progress, place)
    config = replace(part_of(settings, FieldConfig), output_scale=_output_scale(pool))
    generator = torch.Generator().manual_seed(settings.seed)
    field = FeatureField(config, generator).to(rasterizer.device)
    adam = torch.optim.Adam(field.parameters(), lr=settings.learning_rate)
    training = FieldTraining(field, adam, trained_at.to(rasterizer.device))
    total = settings.steps if collapsed else settings.num_epochs * len(pool)
    run = {
        "config": asdict(config),
        "mesh_digest": mesh.digest,
        "teacher": pool.teacher_name,
        "seed": settings.seed,
        "views": repr(pool.settings.to_dict()),
        "distillation": settings.distillation,
        "steps": total,
        "learning_rate": settings.learning_rate,
        **({} if place is None else {"rows": len(trained_at)}),
    }
    _resume(training, settings, run, rasterizer.device)
    checkpoint, resumed_at = settings.model_dir / CHECKPOINT, len(training.losses)
    path = settings.model_dir / "pred_f.pth"

    def report(error: float) -> None:
        print(
            f"field: {path} ({mesh.num_vertices} x {settings.n_classes}, mean squared error {error:.5f}, "
            f"{total - resumed_at} steps, {time.perf_counter() - started:.1f} s)"
        )

    if resumed_at >= total and (error := _written(path, mesh, settings.n_classes, run)) is not None:
        return report(error)

    def save() -> None:
        save_torch(checkpoint, {**training.state(), "run": run})

    after_step = Saver(save, settings.save_interval)
    if collapsed:
        distill_collapsed(training, loss, total, settings.learning_rate, after_step, on_progress)
    else:
        order = torch.cat([torch.randperm(len(pool), generator=generator) for _ in range(settings.num_epochs)])
        distill_rendered(training, pool, rasterizer, order, after_step, on_progress)
    save()
    features = features_at(field, positions)
    with torch.no_grad():
        final = float(loss(features.to(rasterizer.device) if place is None else training.features()))
    save_torch(path, features)
    note = {"mesh_digest": mesh.digest, "features_digest": digest(features), "teacher": pool.teacher_name}
    save_json(path.with_suffix(".json"), {**note, "mean_squared_error": final, "run": run}, seal=True)
    report(final)


def _written(path: Path, mesh: Mesh, channels: int, run: dict) -> float | None:
    """The mean squared error of the field that a finished training has written at `path`; None if it is not whole, or
    of another run: on large meshes making it again takes seconds."""
    try:
        note = load_json(path.with_suffix(".json"), kind=dict)
        of_run = note.get("run")
        if not isinstance(of_run, dict) or differing(of_run, run):
            return None
        load_features(path, mesh, channels)
    except UserError:
        return None
    error = note.get("mean_squared_error")
    return error if isinstance(error, float) else None


def _resume(training: FieldTraining, settings: EncoderSettings, run: dict, device: torch.device) -> None:
    """Go on from the checkpoint of the same training; UserError if it is of another one or cannot be used."""
    checkpoint, remedy = settings.model_dir / CHECKPOINT, "choose another --encoder_model_dir or add --overwrite 1"
    if not checkpoint.is_file() or settings.overwrite:
        return
    held = load_torch(checkpoint, device, "encoder checkpoint", dict)
    of_run = held.get("run")
    if not isinstance(of_run, dict):
        raise UserError(f"{checkpoint} does not say how it was trained; {remedy}")
    names = differing(of_run, run)
    if names:
        raise UserError(f"{checkpoint} was trained with another {', '.join(names)}; {remedy}")
    restored(checkpoint, lambda: training.restore(held), remedy)


def _output_scale(pool: ViewPool) -> float:
    """1 as published where the embeddings hardly leave [-1, 1] (SAM's do not), else their reach in the first view."""
    reach = float(pool.embedding(0).abs().flatten().kthvalue(int(0.999 * pool.embedding(0).numel())).values)
    return 1.0 if reach <= 1.5 else round(reach, 2)


def compare_automatic_masks(
    settings: EncoderSettings,
    rasterizer: Rasterizer,
    teacher: SamTeacher,
    features: torch.Tensor,
    path: Path,
    on_progress: Progress = silent,
) -> None:
    """Draw the automatic masks SAM makes from its own features beside those from the rendered field (authors' figure).

    features (V, 256). The field is rendered at the embedding's resolution from the test views; off the object, where it
    has no value, SAM's own features stay.
    """
    from SAM_repo.automatic_masks import automatic_masks  # brings torchvision, several seconds that only this needs
    from utils.output.figures import save_mask_comparison  # training needs no matplotlib

    elevation, azimuth = torch.tensor(settings.test_elev_deg), torch.tensor(settings.test_azim_deg)
    cameras = orbit_cameras(
        elevation.deg2rad(), azimuth.deg2rad(), settings.radius, size=(settings.render_res, settings.render_res)
    )
    images = render_views(rasterizer, cameras, settings.views)
    embeddings = teacher.embed(images)
    raster = rasterizer(cameras.resized(teacher.embedding_shape[1:]))
    rendered = interpolate(rasterizer.mesh, raster, features.to(rasterizer.device)).permute(0, 3, 1, 2).to(embeddings)
    rendered = torch.where(raster.covered[:, None].to(embeddings.device), rendered, embeddings)
    shown = images.cpu().numpy()
    masks: dict[str, list] = {"SAM's own features": [], "rendered feature field": []}
    views = track(zip(shown, embeddings, rendered), "automatic masks", on_progress, len(shown), "view")
    for image, own, field in views:
        for title, embedding in zip(masks, (own, field)):
            masks[title].append(automatic_masks(teacher.sam, image, embedding))
    save_mask_comparison(path, shown, masks)
