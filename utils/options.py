"""Command-line options that several stages share, each written once."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from utils.errors import UserError
from utils.rendering.rasterize import BACKENDS

TEACHERS = ("auto", "vit_h", "vit_l", "vit_b", "vit_t")


def flag(text: str) -> bool:
    """A published 0/1 switch; argparse reports anything else."""
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise argparse.ArgumentTypeError(f"'{text}' is neither 0 nor 1")


def positive_int(text: str) -> int:
    """A whole number of at least 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of at least 1")
    return value


def add_mesh_options(parser: argparse.ArgumentParser) -> None:
    """--obj_path, --seed, --device."""
    group = parser.add_argument_group("mesh and run")
    group.add_argument(
        "--obj_path", type=Path, required=True, metavar="FILE", help="the mesh: OBJ, PLY, OFF, STL or GLB"
    )
    group.add_argument("--seed", type=int, default=0, help="of all randomness")
    group.add_argument("--device", default="auto", help="auto, cpu or cuda; auto takes CUDA where there is a GPU")


def add_render_options(parser: argparse.ArgumentParser) -> None:
    """--radius, --render_res, --background, --renderer."""
    group = parser.add_argument_group("rendering")
    group.add_argument("--radius", type=float, default=2.0, help="camera distance; the object has radius 1")
    group.add_argument(
        "--render_res", type=positive_int, default=224, metavar="PX", help="side of the rendered square image"
    )
    group.add_argument(
        "--background", type=float, nargs=3, default=(1.0, 1.0, 1.0), metavar=("R", "G", "B"), help="0 to 1"
    )
    group.add_argument("--renderer", choices=BACKENDS, default="auto", help="auto: kaolin with CUDA, else embree")


def add_teacher_options(parser: argparse.ArgumentParser) -> None:
    """--SAM."""
    group = parser.add_argument_group("teacher")
    group.add_argument(
        "--SAM",
        choices=TEACHERS,
        default="auto",
        help="segmentation model that supervises; auto: the largest checkpoint present, else the embedded vit_t",
    )


def choose_device(name: str) -> torch.device:
    """Resolve --device; UserError if it is not to be had."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"unknown device '{name}'; use auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError("no CUDA GPU is usable here; use --device cpu")
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"device '{name}' is not supported; use auto, cpu or cuda")
    return device
