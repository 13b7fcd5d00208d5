"""The files that hold a prior decoder: the shipped weights, exported ones, and those refined on one mesh."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from models.prior.network import PriorConfig, PriorNetwork
from utils.errors import UserError
from utils.files import load_torch
from utils.shipped import check_shipped
from utils.teacher import Teacher

WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "prior_vit_t.pt"
REFINED = "refined prior"  # kind of a checkpoint
FORMAT = 3  # earlier ones had other inputs


def load_prior(path: str | Path = WEIGHTS) -> tuple[PriorNetwork, dict[str, Any]]:
    """The network at `path` in float32, and everything recorded with it; UserError if it cannot be used."""
    check_shipped(path)
    held = load_torch(path, what="prior decoder", kind=dict)
    try:
        if held["format"] != FORMAT:
            raise TypeError("other inputs than today's")
        network = load_network(held["config"], held["weights"])
        held["field_components"], held["field_mean"], held["teacher"]
    except (KeyError, TypeError, RuntimeError) as error:
        if Path(path) == WEIGHTS:
            remedy = "restore it with: git checkout -- models/weights"
        elif held.get("kind") == REFINED:
            remedy = "refine it again with --overwrite 1"
        else:
            remedy = "export it again: scripts/train_prior.py export"
        raise UserError(f"{path} does not hold a prior decoder of this version; {remedy}") from error
    return network.eval().requires_grad_(False), held


def load_network(config: dict, weights: dict[str, Tensor]) -> PriorNetwork:
    """A network from its state. Raises KeyError, TypeError or RuntimeError if that does not fit together."""
    network = PriorNetwork(PriorConfig(**config))
    network.load_state_dict({key: value.float() for key, value in weights.items()})
    return network


def is_refined_prior(path: str | Path) -> bool:
    """Whether `path` is a prior refined on one mesh (`decoder.py --init prior`); False if it is missing or damaged."""
    try:
        held = load_torch(path, what="decoder checkpoint")
    except UserError:
        return False  # who loads it as a decoder says what is wrong with it
    return isinstance(held, dict) and held.get("kind") == REFINED


def check_teacher(held: dict[str, Any], teacher: Teacher) -> None:
    """UserError if the prior `held` reads another kind of embedding than `teacher` gives.

    The kind decides, not the digest behind it: weights of `vit_t` that differ in the mask decoder alone embed alike.
    """
    kind = held["teacher"].split("-")[0]
    if kind != teacher.name.split("-")[0]:
        raise UserError(
            f"the prior decoder was trained with the teacher {kind}, not {teacher.name}: use --SAM {kind}, "
            "or train a prior for this teacher with scripts/train_prior.py"
        )
