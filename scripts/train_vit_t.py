"""Train the embedded teacher vit_t on synthetic shapes (never on anything people labelled).

python scripts/train_vit_t.py train --data DIR --run DIR              # go on after an interruption: the same command
python scripts/train_vit_t.py train --run DIR --shapes 0 --workers 16 # new shapes in every step, for a GPU
python scripts/train_vit_t.py views --data DIR                        # optional: make the training's views beforehand or beside it
python scripts/train_vit_t.py measure --run DIR                       # 2D IoU on held-out shapes (and --labelled meshes)
python scripts/train_vit_t.py export --run DIR                        # write SAM_repo/model_checkpoints/vit_t.pth
python scripts/train_vit_t.py score --data DIR                        # then calibrate its predicted IoU; masks stay bit for bit
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from dataclasses import fields
from pathlib import Path

import torch
import torch.distributed as dist
from torch.utils.data import DataLoader
from tqdm import tqdm

from SAM_repo.evaluation.measure import HELD_OUT_SEED, format_measure, held_out_set, labelled_mesh_set, measure
from SAM_repo.evaluation.score import ScoreConfig, ScoreData, fit_head, score_data
from SAM_repo.training.plot import plot_curve
from SAM_repo.training.trainer import AuxiliaryHeads, TrainConfig, build_optimisers, learning_rate, training_loss
from SAM_repo.training.views import Batch, TrainingViews, families_without, stored_views
from SAM_repo.vit_t import VitTConfig, build_vit_t, set_image_size
from utils.device import choose_device, fast_autocast
from utils.errors import UserError, run_cli
from utils.files import atomic_path, digest, load_json, load_torch, save_json, save_torch
from utils.options import positive_int
from utils.shapes import FAMILIES

SCORE_HEAD = "mask_decoder.iou_prediction_head."
WEIGHTS = Path(__file__).resolve().parents[1] / "SAM_repo" / "model_checkpoints" / "vit_t.pth"


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    views = commands.add_parser("views", help="rasterise labelled synthetic shapes")
    views.add_argument("--data", type=Path, required=True, help="folder of the views, about 2 MB a shape")
    views.add_argument("--shapes", type=positive_int, default=TrainConfig.shapes, help="number of shapes")
    views.add_argument(
        "--stored_views", type=positive_int, default=TrainConfig.stored_views, help="views of each shape"
    )
    views.add_argument("--leave_out", default="", help="shape families not to make, separated by commas")
    train = commands.add_parser("train", help="train, or go on training")
    train.add_argument(
        "--data", type=Path, default=None, help="folder that keeps the views of the shapes; not needed with --shapes 0"
    )
    train.add_argument("--run", type=Path, required=True, help="folder of the run: checkpoint, log")
    train.add_argument("--device", default="auto", help="auto, cpu or cuda")
    train.add_argument("--threads", type=positive_int, default=torch.get_num_threads(), help="threads of the processor")
    train.add_argument(
        "--workers", type=int, default=0, help="processes that make the batches; they do not change them"
    )
    train.add_argument(
        "--processes",
        type=positive_int,
        default=1,
        help="processes that train and average their weights every few steps: on a "
        "shared processor one thread each loses far less to waiting than several threads in one",
    )
    train.add_argument(
        "--stop_after",
        type=float,
        default=None,
        metavar="MINUTES",
        help="stop then, as an interruption would; the schedule goes by steps, so this changes nothing else",
    )
    train.add_argument("--save_every", type=float, default=180.0, metavar="SECONDS", help="between checkpoints")
    train.add_argument("--measure_every", type=float, default=600.0, metavar="SECONDS", help="between measurements")
    train.add_argument(
        "--labelled", type=Path, default=None, help="folder with off/ and seg/ of labelled meshes, only measured on"
    )
    train.add_argument("--plot", type=Path, default=None, metavar="PNG", help="draw the curve of the run here")
    train.add_argument("--restart", action="store_true", help="ignore an existing checkpoint of the run")
    for field in fields(TrainConfig):
        train.add_argument(f"--{field.name}", type=type(field.default), default=None, help=f"default {field.default}")
    for name, text in (
        ("measure", "2D IoU of a run's averaged weights"),
        ("export", "write the averaged weights in fp16"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--run", type=Path, required=True)
        command.add_argument("--labelled", type=Path, default=None)
        command.add_argument("--clicks", type=int, default=400, help="clicks measured on each set")
        command.add_argument("--output", type=Path, default=WEIGHTS, help="where export writes")
    score = commands.add_parser(
        "score", help="train only the head that predicts the IoU of exported weights, on fresh synthetic shapes"
    )
    score.add_argument(
        "--data", type=Path, required=True, help="folder of what the head learns from; an interrupted run goes on"
    )
    score.add_argument("--weights", type=Path, default=WEIGHTS, help="exported weights to start from")
    score.add_argument("--output", type=Path, default=WEIGHTS, help="where the weights with the new head go")
    for field in fields(ScoreConfig):
        score.add_argument(
            f"--{field.name}", type=type(field.default), default=field.default, help=f"default {field.default}"
        )
    return parser


# ---- views ---------------------------------------------------------------------------------------------------------------------


def write_views(directory: Path, shapes: int, views: int, leave_out: tuple[str, ...]) -> None:
    """Make the files that a training with this pool of shapes reads; those that exist are kept."""
    claim_views(directory, views, leave_out)
    families = families_without(leave_out)
    for seed in tqdm(range(shapes), desc="shapes", mininterval=5, disable=None):
        if not (directory / f"{seed:010d}.npy").exists():
            stored_views(directory, seed, views, families)


def claim_views(directory: Path, views: int, leave_out: tuple[str, ...]) -> None:
    claim_folder(directory, "views.json", {"views": views, "leave_out": sorted(leave_out), "families": list(FAMILIES)})


def claim_folder(folder: Path, name: str, contents: dict) -> None:
    """Say in the file `name` what a folder holds; UserError if it holds something else."""
    path = folder / name
    if not path.is_file():
        save_json(path, contents)
    elif load_json(path, "description of a folder") != contents:
        raise UserError(
            f"{folder} was made with other weights or settings (see {name}); choose another --data or delete it"
        )


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
        self.rank = rank
        self.step, self.images, self.seconds = 0, 0, 0.0

    def state(self) -> dict:
        return {
            "kind": "vit_t training",
            "model_config": self.model_config.to_dict(),
            "train_config": self.config.to_dict(),
            "sam": self.sam.state_dict(),
            "heads": self.heads.state_dict(),
            "average": self.average,
            "optimisers": [o.state_dict() for o in self.optimisers],
            "generator": self.generator.get_state(),
            "step": self.step,
            "images": self.images,
            "seconds": self.seconds,
        }

    def restore(self, state: dict) -> None:
        self.sam.load_state_dict(state["sam"])
        self.heads.load_state_dict(state["heads"])
        self.average = {k: v.to(self.device) for k, v in state["average"].items()}
        for optimiser, saved in zip(self.optimisers, state["optimisers"]):
            optimiser.load_state_dict(saved)
        self.generator.set_state(state["generator"].cpu())
        self.step, self.images, self.seconds = state["step"], state["images"], state["seconds"]

    def train_step(self, batch: Batch) -> dict[str, float]:
        """One optimiser step on one batch; returns what is logged."""
        config = self.config
        fraction = self.step / config.steps
        rate = learning_rate(config, self.step, fraction)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate
        for name, value in vars(batch).items():
            setattr(batch, name, value.to(self.device, non_blocking=True))
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
                self.average[name].lerp_(value, 1 - decay) if value.is_floating_point() else self.average[name].copy_(
                    value
                )
        self.step += 1
        self.images += len(batch.images) * (dist.get_world_size() if dist.is_initialized() else 1)
        if dist.is_initialized() and self.step % config.sync_every == 0:
            self.average_processes()
        return dict(result.parts, norm=float(norm), lr=rate, size=batch.images.shape[1])

    @torch.no_grad()
    def average_processes(self) -> None:
        """All processes go on from the mean of their weights."""
        tensors = list((*self.sam.parameters(), *self.heads.parameters()))
        flat = torch.cat([t.detach().flatten().float() for t in tensors])
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
        for tensor, mean in zip(tensors, flat.split([t.numel() for t in tensors])):
            tensor.copy_(mean.view_as(tensor))


def train(
    trainer: Trainer,
    data: Path | None,
    run: Path,
    workers: int = 0,
    stop_after: float | None = None,
    save_every: float = 180.0,
    measure_every: float = 600.0,
    labelled: Path | None = None,
    plot: Path | None = None,
) -> None:
    """Run to the last step, or until `stop_after` minutes; log.csv gets means over 25 steps, measure.csv the measurements."""
    config, first = trainer.config, trainer.rank == 0
    sets = {"held_out": held_out_set(HELD_OUT_SEED, 150)} if first else {}
    if labelled is not None and first:
        sets["labelled"] = labelled_mesh_set(labelled, 150)
    views = TrainingViews(config, trainer.model_config.image_size, data, trainer.rank)
    batches = DataLoader(
        views,
        batch_size=None,
        sampler=range(trainer.step, config.steps),
        num_workers=workers,
        pin_memory=trainer.device.type == "cuda",
        prefetch_factor=4 if workers else None,
    )
    if first:
        for table in (run / "log.csv", run / "measure.csv"):
            drop_rows_after(table, trainer.step)
    start = trainer.step
    begun = saved = measured = clock = time.monotonic()
    sums: dict[str, float] = {}
    summed = 0
    bar = tqdm(
        batches,
        initial=trainer.step,
        total=config.steps,
        desc="training",
        unit="step",
        mininterval=10,
        disable=None if first else True,
    )
    for batch in bar:
        values = trainer.train_step(batch)
        now = time.monotonic()
        trainer.seconds, clock = trainer.seconds + now - clock, now
        for name, value in values.items():
            sums[name] = sums.get(name, 0.0) + value
        summed += 1
        if first and trainer.step % 25 == 0:
            row = dict(
                step=trainer.step,
                images=trainer.images,
                seconds=round(trainer.seconds, 1),
                **{k: round(v / summed, 5) for k, v in sums.items()},
            )
            append_row(run / "log.csv", row)
            bar.set_postfix_str(f"loss {row['loss']:.3f} IoU {row['iou0']:.3f}")
            sums, summed = {}, 0
        if first and now - saved > save_every:
            save_torch(run / "checkpoint.pth", trainer.state())
            saved = now
        if first and now - measured > measure_every:
            measure_run(trainer, sets, run, plot)
            measured = time.monotonic()
        if stop_after is not None and agreed(now - begun > 60 * stop_after):
            break
        clock = time.monotonic()  # measuring is no training
    if first and trainer.step > start:
        save_torch(run / "checkpoint.pth", trainer.state())
        measure_run(trainer, sets, run, plot)


def agreed(stop: bool) -> bool:
    """Whether the first process wants to stop: all stop after the same step."""
    if not dist.is_initialized():
        return stop
    wish = torch.tensor([float(stop)])
    dist.broadcast(wish, 0)
    return bool(wish)


def drop_rows_after(path: Path, step: int) -> None:
    """Remove what an interrupted run logged after its last checkpoint: those steps come again."""
    if not path.is_file():
        return
    with open(path, newline="") as file:
        head, *rows = file.read().splitlines() or [""]
    kept = [row for row in rows if row.split(",")[0].isdigit() and int(row.split(",")[0]) <= step]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join([head, *kept]) + "\n" if head else "")


def measure_run(trainer: Trainer, sets: dict, run: Path, plot: Path | None) -> None:
    """Measure the averaged weights, append a row for each set to measure.csv, and draw the curve."""
    sam = averaged_model(trainer.state()).to(trainer.device)
    for name, clicks in sets.items():
        result = measure(sam, clicks, trainer.device)
        append_row(
            run / "measure.csv",
            dict(
                step=trainer.step,
                images=trainer.images,
                seconds=round(trainer.seconds),
                set=name,
                **{k: round(v, 4) for k, v in result.items()},
            ),
        )
    if plot is not None:
        plot_curve(run / "log.csv", run / "measure.csv", plot)


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
    save_torch(
        output,
        {
            "kind": "vit_t",
            "model_config": state["model_config"],
            "train_config": state["train_config"],
            "trained": {"steps": state["step"], "images": state["images"], "seconds": round(state["seconds"])},
            "weights": weights,
        },
    )


# ---- predicted IoU -------------------------------------------------------------------------------------------------------------


def calibrate(weights: Path, data: Path, config: ScoreConfig, output: Path) -> dict[str, float]:
    """Fit the IoU head of exported weights and write them with the new head; every other tensor is written as it was read.

    The folder keeps one file a shape, and says in `score.json` of which weights and settings they are.
    """
    stored = read_weights(weights)
    sam = build_vit_t(VitTConfig(**stored["model_config"]))
    sam.load_state_dict({key: value.float() for key, value in stored["weights"].items()})
    sam.requires_grad_(False)
    rest = digest(*(stored["weights"][key] for key in sorted(stored["weights"]) if not key.startswith(SCORE_HEAD)))
    drawing = {name: getattr(config, name) for name in ("views", "prompts", "published", "coarse", "previous")}
    claim_folder(data, "score.json", {"weights": rest, **drawing})
    parts = []
    for seed in tqdm(
        range(config.first_shape, config.first_shape + config.shapes), desc="shapes", mininterval=5, disable=None
    ):
        path = data / f"{seed:010d}.pth"
        if not path.is_file():
            save_torch(path, vars(score_data(sam, seed, config, torch.device("cpu"))))
        parts.append(ScoreData(**load_torch(path, what="part of the calibration data")))
    try:
        head, errors = fit_head(sam.mask_decoder.iou_prediction_head, ScoreData.joined(parts), config)
    except ValueError as error:
        raise UserError(f"{error}; raise --shapes") from error
    fitted = {f"{SCORE_HEAD}{key}": value.half() for key, value in head.state_dict().items()}
    save_torch(
        output,
        {
            **stored,
            "weights": {**stored["weights"], **fitted},
            "score_config": config.to_dict(),
            "score_errors": {name: round(value, 5) for name, value in errors.items()},
        },
    )
    return errors


def read_weights(path: Path) -> dict:
    stored = load_torch(path, what="weights of vit_t")
    if not isinstance(stored, dict) or stored.get("kind") != "vit_t":
        raise UserError(
            f"{path} does not hold exported weights of vit_t; write them with: train_vit_t.py export --run DIR"
        )
    return stored


def train_process(rank: int, args: argparse.Namespace, meeting: str | None) -> None:
    """One training process; `meeting` is where several find one another."""
    torch.set_num_threads(args.threads)
    overrides = {f.name: getattr(args, f.name) for f in fields(TrainConfig) if getattr(args, f.name) is not None}
    state = read_run(args.run) if (args.run / "checkpoint.pth").exists() and not args.restart else None
    config = train_config({**(state["train_config"] if state else {}), **overrides}, args.data)
    device = choose_device(args.device)
    if meeting:
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=args.processes)
    trainer = Trainer(VitTConfig(**state["model_config"]) if state else VitTConfig(), config, device, rank)
    if state:
        trainer.restore(state)
    if rank:
        trainer.generator.manual_seed(config.seed + 1000 * rank + trainer.step)
    if config.shapes and not rank:
        claim_views(args.data, config.stored_views, config.left_out())
    if not state and not rank:
        for table in ("log.csv", "measure.csv"):
            (args.run / table).unlink(missing_ok=True)
    train(
        trainer,
        args.data,
        args.run,
        args.workers,
        args.stop_after,
        args.save_every,
        args.measure_every,
        args.labelled,
        args.plot,
    )


def train_config(values: dict, data: Path | None) -> TrainConfig:
    """Checked settings of a run; UserError if they make no sense."""
    try:
        config = TrainConfig(**values)
        families_without(config.left_out())
    except (TypeError, ValueError) as error:
        raise UserError(
            f"these settings cannot be trained with: {error}; correct them, or begin the run again with --restart"
        ) from error
    if config.steps < 1 or config.shapes < 0 or config.small_size % 16 or config.corrected > config.prompts:
        raise UserError(
            "--steps must be at least 1, --shapes at least 0, --small_size a multiple of 16, --corrected at most --prompts"
        )
    if config.shapes and data is None:
        raise UserError(
            "give a folder for the views with --data DIR, or --shapes 0 to draw new shapes in every step and keep nothing"
        )
    return config


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    if args.command == "views":
        try:
            write_views(args.data, args.shapes, args.stored_views, TrainConfig(leave_out=args.leave_out).left_out())
        except ValueError as error:
            raise UserError(str(error)) from error
    elif args.command == "train":
        args.run.mkdir(parents=True, exist_ok=True)
        if args.processes == 1:
            train_process(0, args, None)
        else:
            with tempfile.TemporaryDirectory() as folder:
                torch.multiprocessing.spawn(train_process, (args, f"file://{folder}/meet"), nprocs=args.processes)
    elif args.command == "score":
        config = ScoreConfig(**{field.name: getattr(args, field.name) for field in fields(ScoreConfig)})
        errors = calibrate(args.weights, args.data, config, args.output)
        print(args.output, "validation:", format_measure(errors))
    else:
        state = read_run(args.run)
        if args.command == "export":
            export(state, args.output)
            print(args.output)
        else:
            sam = averaged_model(state)
            print(
                "held-out synthetic",
                format_measure(measure(sam, held_out_set(HELD_OUT_SEED, args.clicks), torch.device("cpu"))),
            )
            if args.labelled:
                print(
                    "labelled meshes",
                    format_measure(measure(sam, labelled_mesh_set(args.labelled, args.clicks), torch.device("cpu"))),
                )
    return 0


if __name__ == "__main__":
    run_cli(main)
