"""Trains the prior decoder on synthetic shapes with known parts: make the data, train, measure, export.

    data     shapes, their lifted embedding and the teacher's masks of single clicks, in shards; resumable, several may run at once
             with different --shards
    train    interactive attention and graph layers, from the shards that are there; picks up new ones; resumable
    measure  IoU after each click on held-out synthetic shapes, also with one kind of input left out
    export   the weights that `models.prior_segmenter` loads
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from models.prior_network import PriorConfig, PriorNetwork
from models.prior_segmenter import WEIGHTS
from SAM_repo.teacher import load_teacher
from utils.errors import UserError, run_cli
from utils.files import load_torch, save_json, save_torch
from utils.options import TEACHERS, choose_device, positive_int
from utils.prior_data import FIELD, TRAIN_CLICKS, TRAIN_PROMPTED, TRAIN_VIEWS, fit_projection, read_shard, shard_path, write_shard
from utils.prior_inputs import INPUTS
from utils.prior_training import PriorTraining, TrainingShape, train_rounds, validate

# The teacher's masks of the clicks are trained with, but not asked for: on labelled meshes answers are as good without, after
# corrections better, and a click is three times as fast. (Most corrections in the training have none: prompting is the costliest part.)
LEFT_OUT = ["masks"]
FIRST_SEED = 1_000_000
PROJECTION_SEEDS = range(900_000, 900_016)
HELD_OUT_SHARDS = 3  # the first ones


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("data", "train", "measure", "export"))
    parser.add_argument("--folder", type=Path, required=True, help="of the shards, the checkpoint and the log")
    parser.add_argument("--SAM", choices=TEACHERS, default="auto", help="teacher that embeds and masks the shapes (data)")
    parser.add_argument("--shards", type=int, nargs=2, default=(0, 100), metavar=("FIRST", "END"), help="of 8 shapes each (data)")
    parser.add_argument("--minutes", type=float, default=60.0, help="of training; the learning rate falls to 0 over them (train)")
    parser.add_argument("--width", type=positive_int, default=72, help="of the network's layers (train)")
    parser.add_argument("--init", type=Path, metavar="CHECKPOINT", help="begin with the weights of an earlier training (train)")
    parser.add_argument("--learning_rate", type=float, default=PriorTraining.learning_rate, help="of AdamW at its highest (train)")
    parser.add_argument("--left_out", nargs="*", choices=INPUTS, default=[], help="inputs never to give (train)")
    parser.add_argument("--hold_out", nargs="+", default=[], metavar="FAMILY", help="families not to train on (train), to measure on (measure)")
    parser.add_argument("--bfloat16", type=int, choices=(0, 1), default=1, help="matrix products of the training in bfloat16")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (data)")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="file of the exported weights (export)")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    return {"data": make_data, "train": train, "measure": measure, "export": export}[args.action](args)


def make_data(args: argparse.Namespace) -> int:
    teacher = load_teacher(args.SAM, device=choose_device(args.device))
    path = args.folder / "projection.pt"
    if not path.is_file():
        mean, components = fit_projection(teacher, PROJECTION_SEEDS)
        save_torch(path, {"mean": mean, "components": components, "teacher": teacher.name})
    held = load_torch(path, what="projection of the embedding")
    if held.get("teacher", teacher.name) != teacher.name:
        raise UserError(f"{args.folder} holds shapes of another teacher, {held['teacher']}; choose another --folder or --SAM")
    for shard in tqdm(range(*args.shards), desc="shapes", unit="shard", disable=None):
        write_shard(args.folder, shard, teacher, (held["mean"], held["components"]), FIRST_SEED)
    return 0


class Shapes:
    """The training shapes that are on disk; `refresh` takes up shards that have come since."""

    def __init__(self, folder: Path, hold_out: list[str]) -> None:
        self.folder, self.hold_out = folder, hold_out
        self.known: set[int] = set()
        self.training: list[TrainingShape] = []
        self.held_out: list[TrainingShape] = []
        self.refresh()

    def refresh(self) -> None:
        for path in sorted(self.folder.glob("shapes_*.npz")):
            shard = int(path.stem.split("_")[1])
            if shard not in self.known:
                self.known.add(shard)
                for example in read_shard(path):
                    shape = TrainingShape(example)
                    held = shape.family in self.hold_out if self.hold_out else shard < HELD_OUT_SHARDS
                    (self.held_out if held else self.training).append(shape)


def train(args: argparse.Namespace) -> int:
    torch.manual_seed(args.seed)
    config = PriorConfig(width=args.width)
    settings = PriorTraining(learning_rate=args.learning_rate, left_out=tuple(args.left_out))
    shapes = Shapes(args.folder, args.hold_out)
    if len(shapes.training) < settings.shapes:
        raise UserError(f"{args.folder} holds too few shapes; make some first: python scripts/train_prior.py data --folder {args.folder}")
    network, average = PriorNetwork(config), PriorNetwork(config)
    done = {"seconds": 0.0, "steps": 0, "sets": 0, "log": []}
    if args.init is not None:
        first = load_torch(args.init, what="checkpoint of the prior")
        network.load_state_dict(first["average"])
        done["before"] = {**{key: first["done"][key] for key in ("seconds", "steps", "sets")}, "settings": first["settings"]}
    average.load_state_dict(network.state_dict())
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, betas=(0.9, 0.98))
    path = args.folder / "checkpoint.pt"
    if path.is_file():
        held = load_torch(path, what="checkpoint of the prior")
        if held["config"] != config.to_dict() or held["settings"] != settings.to_dict() or held["hold_out"] != args.hold_out:
            raise UserError(f"{path} was trained with other settings; choose another --folder or remove it")
        network.load_state_dict(held["network"])
        average.load_state_dict(held["average"])
        optimizer.load_state_dict(held["optimizer"])
        done = held["done"]
    rng = np.random.default_rng([args.seed, done["steps"]])
    recent: list[dict] = []
    begun, saved, looked = time.time() - done["seconds"], time.time(), time.time()
    queue: list[int] = []
    while (done["seconds"] < 60 * args.minutes):
        share = done["seconds"] / (60 * args.minutes)
        rate = settings.learning_rate * min(1.0, (done["steps"] + 1) / 60) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        if len(queue) < settings.shapes:
            queue = rng.permutation(len(shapes.training)).tolist()
        chosen = [shapes.training[queue.pop()] for _ in range(settings.shapes)]
        records = train_rounds(network, chosen, optimizer, settings, rng, bool(args.bfloat16))
        for shape in chosen:
            shape.release()
        done["steps"] += len(records)
        done["sets"] += sum(record["sets"] for record in records)
        keep = min(0.998, 1 - 1 / (1 + done["steps"] / 10)) ** len(records)
        with torch.no_grad():
            for mean, value in zip(average.parameters(), network.parameters()):
                mean.lerp_(value, 1 - keep)
        recent += records
        done["seconds"] = time.time() - begun
        if time.time() - looked > 60:
            shapes.refresh()
            looked = time.time()
            firsts = [r for r in recent if r["round"] == 0]
            print(f"{done['seconds']:.0f} s, {len(shapes.training)} shapes, {done['steps']} steps, {done['sets']} sets: loss "
                  f"{np.mean([r['loss'] for r in recent]):.3f}, IoU {np.mean([r['iou'] for r in recent]):.3f}, at one click "
                  f"{np.mean([r['iou'] for r in firsts]):.3f} (best of three {np.mean([r['oracle'] for r in firsts]):.3f})", flush=True)
            recent = []
        if time.time() - saved > 240:
            save(path, network, average, optimizer, config, settings, args, done, shapes)
            saved = time.time()
    save(path, network, average, optimizer, config, settings, args, done, shapes)
    return 0


def save(path: Path, network, average, optimizer, config, settings, args, done: dict, shapes: Shapes) -> None:
    """Validate and write the checkpoint and the log."""
    done["log"].append({"seconds": done["seconds"], "steps": done["steps"], "sets": done["sets"], "shapes": len(shapes.training),
                        **validate(average, shapes.held_out[:24], settings)})
    print("held out: " + ", ".join(f"{key} {value:.3f}" for key, value in done["log"][-1].items()), flush=True)
    save_torch(path, {"network": network.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict(),
                      "config": config.to_dict(), "settings": settings.to_dict(), "hold_out": args.hold_out, "done": done})
    save_json(path.parent / "log.json", done["log"])
    plot(path.parent / "log.png", done["log"])


def plot(path: Path, log: list[dict]) -> None:
    """IoU on held-out shapes over the training time."""
    from matplotlib.figure import Figure

    from utils.files import atomic_path

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    for key in ("iou@1", "iou@3", "iou@5", "oracle@1"):
        axes.plot([entry["seconds"] / 60 for entry in log], [entry[key] for entry in log], marker=".", label=key)
    axes.set(xlabel="minutes of training", ylabel="IoU on held-out synthetic shapes")
    axes.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)


def load_average(folder: Path) -> tuple[PriorNetwork, dict]:
    held = load_torch(folder / "checkpoint.pt", what="checkpoint of the prior")
    network = PriorNetwork(PriorConfig(**held["config"]))
    network.load_state_dict(held["average"])
    return network.eval(), held


def measure(args: argparse.Namespace) -> int:
    network, held = load_average(args.folder)
    shapes = Shapes(args.folder, args.hold_out)
    result = validate(network, shapes.held_out, PriorTraining(**held["settings"]), clicks=10)
    print(", ".join(f"{key} {value:.3f}" for key, value in result.items()))
    save_json(args.folder / "measured.json", result)
    return 0


def export(args: argparse.Namespace) -> int:
    network, held = load_average(args.folder)
    projection = load_torch(args.folder / "projection.pt", what="projection of the embedding")
    done = held["done"]
    save_torch(args.out, {
        "format": 1, "config": held["config"], "weights": {key: value.half() for key, value in network.state_dict().items()},
        "field_mean": projection["mean"].half(), "field_components": projection["components"].float(),
        "teacher": projection.get("teacher", load_teacher(args.SAM).name), "left_out": LEFT_OUT, "training": held["settings"], "hold_out": held["hold_out"],
        "data": {"field": FIELD, "views": TRAIN_VIEWS, "prompted": TRAIN_PROMPTED, "clicks": TRAIN_CLICKS, "first_seed": FIRST_SEED},
        "done": {key: done[key] for key in ("seconds", "steps", "sets", "before") if key in done},
        "log": done["log"]})
    print(f"written: {args.out} ({args.out.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    run_cli(main)
