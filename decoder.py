"""Decoder stage: train on click supervision, or answer clicks with a trained decoder (paper Sec. 3.2, 3.3)."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from models.iseg.checkpoint import DecoderCheckpoint, load_decoder_checkpoint, load_features, save_decoder_checkpoint
from models.iseg.click_geometry import ClickGeometry, ClickGeometryTable
from models.iseg.click_network import ARCHITECTURES, build_network
from models.iseg.segmenter import PRECISIONS
from models.iseg.training import (
    DecoderTraining,
    LiftedSettings,
    RenderedSettings,
    ViewCache,
    choose_samples,
    train_lifted,
    train_rendered,
)
from models.open import open_segmenter
from models.prior.refinement import PriorRefinement, RefinementSettings
from models.prior.segmenter import REFINED, WEIGHTS, PriorSegmenter, load_prior
from utils.device import choose_device
from utils.errors import UserError, run_cli
from utils.files import digest, load_torch, save_torch
from utils.geometry.mesh import Mesh, load_mesh
from utils.options import BACKENDS, add_mesh_options, add_options, flag, positive_int, settings_from
from utils.output.query import QuerySettings
from utils.rendering.rasterize import Rasterizer
from utils.segmenter import answer_query
from utils.supervision.lifted_targets import lift_masks
from utils.supervision.store import SupervisionSet

MODEL_NAME = "decoder_checkpoint.pth"


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add_mesh_options(parser)
    group = parser.add_argument_group("what to do and where")
    group.add_argument("--mode", choices=("train", "test"), default="train", help="train a decoder, or answer clicks")
    group.add_argument("--name", help="of the mesh, in the default folders; default: the file's name")
    group.add_argument(
        "--encoder_f_path",
        type=Path,
        metavar="FILE",
        help="feature field; default: experiments/NAME/encoder/pred_f.pth",
    )
    group.add_argument("--decoder_data_dir", type=Path, help="click supervision; default: data/NAME/decoder_data")
    group.add_argument(
        "--save_dir", type=Path, help="of the checkpoint and of answers; default: experiments/NAME/decoder"
    )
    group.add_argument("--model_name", help=f"file of the checkpoint in --save_dir; default: {MODEL_NAME}")
    group.add_argument("--renderer", choices=BACKENDS, default="auto", help="auto: kaolin with CUDA, else embree")
    _add_training_options(parser)
    _add_query_options(parser)
    return parser


def _add_training_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("training")
    group.add_argument(
        "--init",
        choices=("prior", "scratch"),
        help="prior: refine the decoder shipped for all meshes; scratch: the paper's training; "
        "default: prior, but scratch where --encoder_f_path, --architecture, --loss or --num_epochs describe the latter",
    )
    group.add_argument(
        "--architecture",
        choices=ARCHITECTURES,
        help="scratch: published, the paper's; or geometric (default), which also sees where the clicks are",
    )
    group.add_argument(
        "--loss",
        choices=("lifted", "rendered"),
        help="scratch: lifted (default), all views of a click set at once, on the vertices; rendered: one view, as published",
    )
    group.add_argument(
        "--use_positive_click", type=flag, default=True, metavar="0|1", help="train on second positive clicks"
    )
    group.add_argument(
        "--use_negative_click", type=flag, default=True, metavar="0|1", help="train on second negative clicks"
    )
    group.add_argument(
        "--steps",
        type=positive_int,
        help=f"of the lifted training, default {LiftedSettings.steps}; of refining the prior, "
        f"default {RefinementSettings.steps}",
    )
    group.add_argument(
        "--num_epochs", type=positive_int, help=f"of the rendered training, default {RenderedSettings.num_epochs}"
    )
    group.add_argument(
        "--batch_size",
        type=positive_int,
        help=f"rendered: samples in a step, default {RenderedSettings.batch_size}; "
        f"lifted and prior: click sets, default {LiftedSettings.sets_per_step} and {RefinementSettings.sets_per_step}",
    )
    group.add_argument(
        "--learning_rate",
        type=float,
        help=f"of Adam; default: rendered {RenderedSettings.learning_rate:g}, lifted {LiftedSettings.learning_rate:g}, "
        f"prior {RefinementSettings.learning_rate:g}",
    )
    group.add_argument("--views_per_vert", type=int, default=100, help="views of each click set to train on, 0 = all")
    group.add_argument("--data_percentage", type=float, default=1.0, help="share of the samples to train on, 0 to 1")
    group.add_argument("--save_interval", type=positive_int, default=100, help="steps between checkpoints")
    group.add_argument(
        "--continue_train", type=flag, default=True, metavar="0|1", help="0 starts over, as --overwrite 1 does"
    )
    group.add_argument("--overwrite", type=flag, default=False, metavar="0|1", help="start over instead of resuming")


def _add_query_options(parser: argparse.ArgumentParser) -> None:
    add_options(parser, QuerySettings)
    group = parser.add_argument_group("segmenter")
    group.add_argument(
        "--segmenter",
        choices=("auto", "trained", "prior"),
        default="auto",
        help="trained: this mesh's own decoder; prior: the one shipped for all meshes; auto: its own if it has one",
    )
    group.add_argument(
        "--precision", choices=PRECISIONS, default="exact", help="auto: the fastest that the processor offers"
    )


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    query = settings_from(args, QuerySettings)
    _check(args)
    name = args.name or args.obj_path.stem
    # Who names one of these means a decoder of the mesh: without it there is no silent answer from another.
    args.means_trained = args.encoder_f_path is not None or args.model_name is not None
    describes_scratch = any(
        value is not None for value in (args.encoder_f_path, args.architecture, args.loss, args.num_epochs)
    )
    args.init = args.init or ("scratch" if describes_scratch else "prior")
    args.model_name = args.model_name or MODEL_NAME
    args.encoder_f_path = args.encoder_f_path or Path("experiments") / name / "encoder" / "pred_f.pth"
    args.decoder_data_dir = args.decoder_data_dir or Path("data") / name / "decoder_data"
    args.save_dir = args.save_dir or Path("experiments") / name / "decoder"
    if args.mode == "test":
        return answer(args, query)
    return refine(args) if args.init == "prior" else train(args)


def _check(args: argparse.Namespace) -> None:
    """UserError for options that make no sense."""
    if args.learning_rate is not None and not 0 < args.learning_rate < float("inf"):
        raise UserError(f"--learning_rate {args.learning_rate:g} must be above 0")
    if not 0 < args.data_percentage <= 1:
        raise UserError(f"--data_percentage {args.data_percentage:g} is not a share of the samples: give 1 for all")
    if args.init == "prior" and any(value is not None for value in (args.architecture, args.loss, args.num_epochs)):
        raise UserError(
            "--architecture, --loss and --num_epochs are of the paper's training: leave them out, or give --init scratch"
        )
    if args.views_per_vert < 0:
        raise UserError("--views_per_vert must be 0 (all) or more")


# --- training -----------------------------------------------------------------------------------


def train(args: argparse.Namespace) -> int:
    """Train a decoder from nothing, or finish an interrupted training (paper Sec. 3.3)."""
    started = time.perf_counter()
    device, mesh = choose_device(args.device), load_mesh(args.obj_path)
    args.architecture, args.loss = args.architecture or "geometric", args.loss or "lifted"
    features, features_digest = load_features(args.encoder_f_path, mesh)
    samples, drawing = _supervision(args, mesh)
    settings = _settings(args)
    path = args.save_dir / args.model_name
    record = {
        "mesh_digest": mesh.digest,
        "features_digest": features_digest,
        "teacher": samples.teacher_name,
        "seed": args.seed,
        "run": {"loss": args.loss, **asdict(settings), **drawing},
    }
    record["run"] = {key: list(value) if isinstance(value, tuple) else value for key, value in record["run"].items()}
    generator = torch.Generator().manual_seed(args.seed)
    network = build_network(args.architecture, generator=generator)
    if network.uses_geometry:
        network.decoder.standardize(features)
    record |= {"architecture": network.architecture, "config": network.config()}
    held = _resumable(path, record, start_over=args.overwrite or not args.continue_train)
    if held is not None and held.complete:
        print(f"decoder: {path} is already trained ({len(held.losses)} steps); --overwrite 1 trains it again")
        return 0
    training = DecoderTraining(
        network.to(device), torch.optim.Adam(network.parameters(), lr=settings.learning_rate), generator
    )

    def save(complete: bool) -> None:
        save_decoder_checkpoint(path, training.checkpoint(complete=complete, **record))

    def after_step() -> None:
        if len(training.losses) % args.save_interval == 0:
            save(complete=False)

    rasterizer = Rasterizer(mesh, args.renderer, device)
    chosen = choose_samples(
        samples, args.views_per_vert, args.data_percentage, torch.Generator().manual_seed(args.seed)
    )
    if held is not None:
        print(f"decoder: {path} goes on after step {len(held.losses)}")
    resumed_at = len(held.losses) if held is not None else 0
    run_training(training, features.to(device), mesh, samples, chosen, rasterizer, settings, held, after_step)
    save(complete=True)
    recent = training.losses[-50:]
    print(
        f"decoder: {path} ({network.architecture}, {args.loss} loss {sum(recent) / max(1, len(recent)):.4f}, "
        f"{len(training.losses) - resumed_at} steps, {time.perf_counter() - started:.1f} s)"
    )
    return 0


def refine(args: argparse.Namespace) -> int:
    """Refine the prior decoder on one mesh, or finish an interrupted refinement. Needs click supervision, but no feature field."""
    started = time.perf_counter()
    mesh = load_mesh(args.obj_path)
    samples, drawing = _supervision(args, mesh)
    settings = RefinementSettings(
        args.steps or RefinementSettings.steps,
        args.learning_rate or RefinementSettings.learning_rate,
        sets_per_step=args.batch_size or RefinementSettings.sets_per_step,
    )
    path = args.save_dir / args.model_name
    prior = load_prior(WEIGHTS)[1]
    record = {
        "kind": REFINED,
        "mesh_digest": mesh.digest,
        "supervised_by": samples.teacher_name,
        "run": {**settings.to_dict(), **drawing, "prior": digest(WEIGHTS.read_bytes())},
        **{
            key: prior[key]
            for key in ("config", "teacher", "field_mean", "field_components", "left_out")
            if key in prior
        },
    }
    held = None
    if path.is_file() and args.continue_train and not args.overwrite:
        held = load_torch(path, what="decoder checkpoint")
        _check_same(
            path,
            held if isinstance(held, dict) else {},
            record,
            {"kind": "--init", "mesh_digest": "mesh", "run": "training settings, click supervision or prior"},
        )
        if held["complete"]:
            print(f"decoder: {path} is already trained ({settings.steps} steps); --overwrite 1 trains it again")
            return 0
    segmenter = _prior_segmenter(args, mesh, WEIGHTS)
    chosen = choose_samples(
        samples, args.views_per_vert, args.data_percentage, torch.Generator().manual_seed(args.seed)
    )
    targets = lift_masks(samples, chosen, Rasterizer(mesh, args.renderer), torch.Generator().manual_seed(args.seed))
    refinement = PriorRefinement(segmenter, targets, settings, args.seed)
    resumed_at = 0
    if held is not None:
        refinement.restore(held["weights"], held["state"])
        resumed_at = len(refinement.losses)
        print(f"decoder: {path} goes on after step {resumed_at}")

    def save(complete: bool) -> None:
        save_torch(path, {**record, "weights": refinement.weights(), "state": refinement.state(), "complete": complete})

    def after_step() -> None:
        if len(refinement.losses) % min(args.save_interval, 20) == 0:
            save(complete=False)

    refinement.run(after_step)
    save(complete=True)
    print(
        f"decoder: {path} (prior refined: {refinement.confirmed} of {len(refinement.sets)} click sets confirmed by a mask, loss "
        f"{np.mean(refinement.losses[-20:]):.4f}, {len(refinement.losses) - resumed_at} steps, {time.perf_counter() - started:.1f} s)"
    )
    return 0


def _supervision(args: argparse.Namespace, mesh: Mesh) -> tuple[SupervisionSet, dict]:
    """The samples to train on, and plain values that say which; UserError if there are none."""
    kinds = (
        "single",
        *(["positive"] if args.use_positive_click else []),
        *(["negative"] if args.use_negative_click else []),
    )
    samples = SupervisionSet.open(args.decoder_data_dir, mesh, kinds)
    if len(samples) == 0:
        raise UserError(
            f"{args.decoder_data_dir} holds no samples; run data_generation.py with more --n_views or --percentage"
        )
    return samples, {
        "kinds": list(kinds),
        "views_per_vert": args.views_per_vert,
        "data_percentage": args.data_percentage,
        "seed": args.seed,
        "samples": _samples_digest(samples),
    }


def _settings(args: argparse.Namespace) -> LiftedSettings | RenderedSettings:
    if args.loss == "lifted":
        return LiftedSettings(
            args.steps or LiftedSettings.steps,
            args.batch_size or LiftedSettings.sets_per_step,
            learning_rate=args.learning_rate or LiftedSettings.learning_rate,
        )
    return RenderedSettings(
        args.num_epochs or RenderedSettings.num_epochs,
        args.batch_size or RenderedSettings.batch_size,
        args.learning_rate or RenderedSettings.learning_rate,
    )


def _samples_digest(samples: SupervisionSet) -> str:
    """Identifies what was clicked, seen and scored; masks of equal scores are taken for equal."""
    return digest(samples.vertices, samples.positive, samples.view, samples.score)


def _resumable(path: Path, record: dict, start_over: bool) -> DecoderCheckpoint | None:
    """The checkpoint that an earlier run of the same training left; UserError if it is of another one."""
    if start_over or not path.is_file():
        return None
    held = load_decoder_checkpoint(path)
    _check_same(
        path,
        vars(held),
        record,
        {
            "mesh_digest": "mesh",
            "features_digest": "feature field",
            "architecture": "--architecture",
            "config": "decoder configuration",
            "run": "training settings or click supervision",
        },
    )
    return held


def _check_same(path: Path, held: dict, record: dict, named: dict[str, str]) -> None:
    """UserError unless what a checkpoint held under the keys of `named` is what this training would record."""
    for key, what in named.items():
        if held.get(key) != record[key]:
            raise UserError(
                f"{path} was trained with another {what}; add --overwrite 1 to train it again, or choose another "
                "--save_dir or --model_name"
            )


def run_training(
    training: DecoderTraining,
    features: torch.Tensor,
    mesh: Mesh,
    samples: SupervisionSet,
    chosen: torch.Tensor,
    rasterizer: Rasterizer,
    settings,
    held: DecoderCheckpoint | None,
    after_step,
) -> None:
    """Prepare what the loss of `settings` needs and train `training` from where `held` stands (None: from the beginning).

    features (V, 256) on the device; chosen (n,) int64 samples to train on; `after_step` is called without arguments and may save.
    """
    device = features.device
    # What is prepared draws from a generator of its own, so that a resumed training continues the same sequence.
    preparing = torch.Generator().manual_seed(int(torch.randint(1 << 31, (1,), generator=training.generator)))
    geometry = ClickGeometry(mesh) if training.network.uses_geometry else None
    if isinstance(settings, LiftedSettings):
        targets = lift_masks(samples, chosen, rasterizer, preparing)
        clicked, rows = targets.clicks.clicked, targets.rows
    else:
        clicked = samples.vertices[chosen].flatten().unique()
        clicked, rows = clicked[clicked >= 0], torch.arange(mesh.num_vertices)
    table = ClickGeometryTable(geometry, clicked, rows, device) if geometry is not None else None
    if held is not None:
        training.restore(held)
    if isinstance(settings, LiftedSettings):
        train_lifted(training, features, targets.to(device), table, settings, after_step)
    else:
        train_rendered(training, features, samples, chosen, ViewCache(samples, rasterizer), table, settings, after_step)


# --- query --------------------------------------------------------------------------------------


def answer(args: argparse.Namespace, settings: QuerySettings) -> int:
    """Answer one set of clicks and write what it selects."""
    mesh = load_mesh(args.obj_path)
    settings.clicks.validate(mesh.num_vertices)
    own = args.save_dir / args.model_name
    started = time.perf_counter()
    segmenter = open_segmenter(
        mesh,
        "prior" if uses_prior(args) else "trained",
        checkpoint=own,
        features=args.encoder_f_path,
        device=args.device,
        precision=args.precision,
        cache_dir=args.save_dir / "prior",
    )
    answer_query(segmenter, settings, args.save_dir, time.perf_counter() - started, args.renderer)
    return 0


def uses_prior(args: argparse.Namespace) -> bool:
    """Whether the shipped decoder answers: if asked for, or if the mesh has none of its own and none was meant."""
    missing = not (args.save_dir / args.model_name).is_file()
    return args.segmenter == "prior" or (args.segmenter == "auto" and missing and not args.means_trained)


def _prior_segmenter(args: argparse.Namespace, mesh: Mesh, weights: Path) -> PriorSegmenter:
    from SAM_repo.teacher import load_teacher

    return PriorSegmenter(
        mesh, load_teacher("vit_t", device=choose_device(args.device)), args.save_dir / "prior", weights
    )


if __name__ == "__main__":
    run_cli(main)
