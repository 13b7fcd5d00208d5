"""Train the embedded teacher vit_t on synthetic shapes (never on anything people labelled).

  python scripts/train_vit_t.py views --data DIR --shapes 4000          # rasterise labelled shapes; run it beside the training
  python scripts/train_vit_t.py train --data DIR --run DIR --minutes 90 # go on after an interruption: the same command
  python scripts/train_vit_t.py measure --run DIR                       # 2D IoU on held-out shapes (and --labelled meshes)
  python scripts/train_vit_t.py export --run DIR                        # write SAM_repo/model_checkpoints/vit_t.pth
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from dataclasses import fields
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
import torch.distributed as dist
from tqdm import tqdm

from SAM_repo.vit_t import VitTConfig, build_vit_t, set_image_size
from SAM_repo.vit_t_data import ViewFiles, shape_views, write_shape
from SAM_repo.vit_t_measure import format_measure, held_out_set, labelled_mesh_set, measure
from SAM_repo.vit_t_training import AuxiliaryHeads, TrainConfig, build_optimisers, learning_rate, training_loss
from utils.errors import UserError, run_cli
from utils.files import atomic_path, load_torch, save_torch
from utils.mesh import Mesh
from utils.precision import fast_autocast
from utils.shapes import random_shape

WEIGHTS = Path(__file__).resolve().parents[1] / "SAM_repo" / "model_checkpoints" / "vit_t.pth"
HELD_OUT_SEED = 2_000_000_000  # shapes from here on are never trained on


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    views = commands.add_parser("views", help="rasterise labelled synthetic shapes")
    views.add_argument("--data", type=Path, required=True, help="folder of the views, about 2 MB a shape")
    views.add_argument("--shapes", type=int, default=4000, help="number of shapes in the folder when done")
    views.add_argument("--views", type=int, default=8, help="views of each shape")
    views.add_argument("--first_seed", type=int, default=0, help="seed of the first shape; existing files are kept")
    train = commands.add_parser("train", help="train, or go on training")
    train.add_argument("--data", type=Path, required=True, help="folder written by `views`, which may still be growing")
    train.add_argument("--run", type=Path, required=True, help="folder of the run: checkpoint, log")
    train.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    train.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of the processor")
    train.add_argument("--processes", type=int, default=1, help="processes that train and average their weights every few steps: on a shared "
                       "processor one thread each loses far less to waiting than several threads in one")
    train.add_argument("--steps", type=int, default=None, help="length in steps instead of minutes (then exactly repeatable)")
    train.add_argument("--save_every", type=float, default=180.0, metavar="SECONDS", help="between checkpoints")
    train.add_argument("--measure_every", type=float, default=600.0, metavar="SECONDS", help="between measurements")
    train.add_argument("--labelled", type=Path, default=None, help="folder with off/ and seg/ of labelled meshes, only measured on")
    train.add_argument("--restart", action="store_true", help="ignore an existing checkpoint of the run")
    for field in fields(TrainConfig):
        train.add_argument(f"--{field.name}", type=type(field.default), default=None, help=f"default {field.default}")
    for name, text in (("measure", "2D IoU of a run's averaged weights"), ("export", "write the averaged weights in fp16")):
        command = commands.add_parser(name, help=text)
        command.add_argument("--run", type=Path, required=True)
        command.add_argument("--labelled", type=Path, default=None)
        command.add_argument("--clicks", type=int, default=400, help="clicks measured on each set")
        command.add_argument("--output", type=Path, default=WEIGHTS, help="where export writes")
    return parser


# ---- views ---------------------------------------------------------------------------------------------------------------------


def write_views(directory: Path, shapes: int, views: int, first_seed: int) -> None:
    """Rasterise shapes `first_seed`, `first_seed + 1`, ... until the folder holds `shapes` of them."""
    for seed in tqdm(range(first_seed, first_seed + shapes), desc="shapes", mininterval=5):
        if (directory / f"{seed:010d}.npy").exists():
            continue
        shape = random_shape(seed)
        rng = np.random.default_rng([7, seed])
        write_shape(directory, seed, shape_views(Mesh(shape.vertices, shape.faces), shape.part, shape.group, views, rng))


# ---- training ------------------------------------------------------------------------------------------------------------------


class Trainer:
    """One run: model, averaged weights, optimisers, generator; saves and restores all of it."""

    def __init__(self, model_config: VitTConfig, config: TrainConfig, device: torch.device, rank: int = 0) -> None:
        torch.manual_seed(config.seed)
        self.model_config, self.config, self.device = model_config, config, device
        self.sam = build_vit_t(model_config).to(device).train()
        self.heads = AuxiliaryHeads(model_config).to(device)
        self.average = {k: v.clone() for k, v in self.sam.state_dict().items()}
        self.optimisers = build_optimisers(self.sam, self.heads, config)
        self.generator = torch.Generator().manual_seed(config.seed + 1000 * rank)
        self.step, self.images, self.seconds = 0, 0, 0.0

    def state(self) -> dict:
        return dict(kind="vit_t training", model_config=self.model_config.to_dict(), train_config=self.config.to_dict(),
                    sam=self.sam.state_dict(), heads=self.heads.state_dict(), average=self.average,
                    optimisers=[o.state_dict() for o in self.optimisers], generator=self.generator.get_state(),
                    step=self.step, images=self.images, seconds=self.seconds)

    def restore(self, state: dict) -> None:
        self.sam.load_state_dict(state["sam"])
        self.heads.load_state_dict(state["heads"])
        self.average = {k: v.to(self.device) for k, v in state["average"].items()}
        for optimiser, saved in zip(self.optimisers, state["optimisers"]):
            optimiser.load_state_dict(saved)
        self.generator.set_state(state["generator"].cpu())
        self.step, self.images, self.seconds = state["step"], state["images"], state["seconds"]

    def fraction(self, steps: int | None) -> float:
        return self.step / steps if steps else self.seconds / (60 * self.config.minutes)

    def train_step(self, files: ViewFiles, fraction: float) -> dict[str, float]:
        """One optimiser step on one batch; returns what is logged."""
        config = self.config
        rate = learning_rate(config, self.step, fraction)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate
        batch = files.batch(self.step)
        for name, value in vars(batch).items():
            setattr(batch, name, value.to(self.device))
        set_image_size(self.sam, batch.images.shape[1])
        balance = max(0.0, 1 - fraction / config.balance_until)
        with fast_autocast(self.device):
            result = training_loss(self.sam, self.heads, batch, config, balance, self.generator)
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        result.loss.backward()
        parameters = [p for o in self.optimisers for g in o.param_groups for p in g["params"]]
        norm = torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        if torch.isfinite(norm):
            for optimiser in self.optimisers:
                optimiser.step()
        decay = min(config.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.sam.state_dict().items():
                self.average[name].lerp_(value, 1 - decay) if value.is_floating_point() else self.average[name].copy_(value)
        self.step += 1
        self.images += len(batch.images) * (dist.get_world_size() if dist.is_initialized() else 1)
        if dist.is_initialized() and self.step % config.sync_every == 0:
            self.average_processes()
        return dict(result.parts, norm=float(norm), lr=rate, size=batch.images.shape[1])


    @torch.no_grad()
    def average_processes(self) -> None:
        """All processes go on from the mean of their weights and at the same time of the run."""
        tensors = [p for p in (*self.sam.parameters(), *self.heads.parameters())]
        flat = torch.cat([torch.tensor([self.seconds], dtype=torch.float32)] + [t.detach().flatten().float() for t in tensors])
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
        self.seconds = float(flat[0])
        for tensor, mean in zip(tensors, flat[1:].split([t.numel() for t in tensors])):
            tensor.copy_(mean.view_as(tensor))


def train(trainer: Trainer, data: Path, run: Path, steps: int | None, save_every: float, measure_every: float,
          labelled: Path | None) -> None:
    """Run to the end of the time or steps; log.csv gets means over 25 steps, measure.csv the measurements."""
    config = trainer.config
    first = not dist.is_initialized() or dist.get_rank() == 0
    sets = dict(held_out=held_out_set(HELD_OUT_SEED, 150)) if first else {}
    if labelled is not None and first:
        sets["labelled"] = labelled_mesh_set(labelled, 150)
    data_seed = config.seed if first else config.seed + 1000 * dist.get_rank()
    small = ViewFiles(data, data_seed, config.small_shapes, config.views, config.prompts, config.small_size)
    large = ViewFiles(data, data_seed, config.large_shapes, config.views, config.prompts, trainer.model_config.image_size)
    saved = measured = clock = time.monotonic()
    sums: dict[str, float] = {}
    bar = tqdm(total=1.0, initial=trainer.fraction(steps), desc="training", bar_format="{l_bar}{bar}| {elapsed}<{remaining} {postfix}",
               mininterval=10, disable=not first)
    while (fraction := trainer.fraction(steps)) < 1 or (dist.is_initialized() and trainer.step % config.sync_every):
        files = small if fraction < config.small_until else large
        values = trainer.train_step(files, fraction)
        now = time.monotonic()
        trainer.seconds, clock = trainer.seconds + now - clock, now
        for name, value in values.items():
            sums[name] = sums.get(name, 0.0) + value
        if first and trainer.step % 25 == 0:
            row = dict(step=trainer.step, images=trainer.images, seconds=round(trainer.seconds, 1), shapes=len(files.files),
                       **{k: round(v / 25, 5) for k, v in sums.items()})
            append_row(run / "log.csv", row)
            bar.set_postfix_str(f"step {trainer.step} loss {row['loss']:.3f} IoU {row['iou0']:.3f}")
            bar.update(trainer.fraction(steps) - bar.n)
            sums = {}
        if first and now - saved > save_every:
            save_torch(run / "checkpoint.pth", trainer.state())
            saved = now
        if first and now - measured > measure_every:
            measure_run(trainer, sets, run)
            measured = time.monotonic()
        clock = now
    if first:
        save_torch(run / "checkpoint.pth", trainer.state())
        measure_run(trainer, sets, run)


def measure_run(trainer: Trainer, sets: dict, run: Path) -> None:
    """Measure the averaged weights and append a row for each set to measure.csv."""
    sam = averaged_model(trainer.state()).to(trainer.device)
    for name, clicks in sets.items():
        result = measure(sam, clicks, trainer.device)
        append_row(run / "measure.csv", dict(step=trainer.step, images=trainer.images, seconds=round(trainer.seconds), set=name,
                                             **{k: round(v, 4) for k, v in result.items()}))


def append_row(path: Path, row: dict) -> None:
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, row)
        if new:
            writer.writeheader()
        writer.writerow(row)


def averaged_model(state: dict):
    """The model with a run's averaged weights."""
    sam = build_vit_t(VitTConfig(**state["model_config"]))
    sam.load_state_dict(state["average"])
    return sam.eval()


def read_run(run: Path) -> dict:
    state = load_torch(run / "checkpoint.pth", what="training checkpoint of vit_t")
    if not isinstance(state, dict) or state.get("kind") != "vit_t training":
        raise UserError(f"{run / 'checkpoint.pth'} is not a training checkpoint of vit_t")
    return state


def export(state: dict, output: Path) -> None:
    """Weights in fp16 with everything needed to rebuild the model and to say how it was trained."""
    weights = {k: v.half() if v.is_floating_point() else v for k, v in state["average"].items()}
    save_torch(output, dict(kind="vit_t", model_config=state["model_config"], train_config=state["train_config"],
                            trained=dict(steps=state["step"], images=state["images"], seconds=round(state["seconds"])), weights=weights))


def train_process(rank: int, args: argparse.Namespace, meeting: str | None) -> None:
    """One training process; `meeting` is where several find one another."""
    torch.set_num_threads(args.threads)
    if meeting:
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=args.processes)
    overrides = {f.name: getattr(args, f.name) for f in fields(TrainConfig) if getattr(args, f.name) is not None}
    state = read_run(args.run) if (args.run / "checkpoint.pth").exists() and not args.restart else None
    config = TrainConfig(**{**(state["train_config"] if state else {}), **overrides})
    trainer = Trainer(VitTConfig(**state["model_config"]) if state else VitTConfig(), config, torch.device(args.device), rank)
    if state:
        trainer.restore(state)
    if meeting and rank:
        trainer.generator.manual_seed(config.seed + 1000 * rank + trainer.step)
    train(trainer, args.data, args.run, args.steps, args.save_every, args.measure_every, args.labelled)


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    if args.command == "views":
        write_views(args.data, args.shapes, args.views, args.first_seed)
    elif args.command == "train":
        args.run.mkdir(parents=True, exist_ok=True)
        if args.processes == 1:
            train_process(0, args, None)
        else:
            with tempfile.TemporaryDirectory() as folder:
                torch.multiprocessing.spawn(train_process, (args, f"file://{folder}/meet"), nprocs=args.processes)
    else:
        state = read_run(args.run)
        if args.command == "export":
            export(state, args.output)
            print(args.output)
        else:
            sam = averaged_model(state)
            print("held-out synthetic", format_measure(measure(sam, held_out_set(HELD_OUT_SEED, args.clicks), torch.device("cpu"))))
            if args.labelled:
                print("labelled meshes", format_measure(measure(sam, labelled_mesh_set(args.labelled, args.clicks), torch.device("cpu"))))
    return 0


if __name__ == "__main__":
    run_cli(main)
