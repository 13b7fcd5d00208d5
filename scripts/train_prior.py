"""Trains the prior decoder on synthetic shapes with known parts: make the data, train, measure, export.

data     shapes and their lifted embedding, with --masks 1 also the teacher's masks of single clicks, in shards; resumable, several
         may run at once with different --shards
train    interactive attention and graph layers, from the shards that are there; picks up new ones; resumable
measure  IoU after each click on held-out synthetic shapes: clicks innermost, anywhere, and with one kind of input left out; with
         --psb_dir the last on human-labelled meshes, for exported weights
unions   on human-labelled meshes, two positive clicks on parts that do not touch
export   the weights that `models.prior.segmenter` loads
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from models.methods import MethodSettings, build_method
from models.prior.data import FIELD, TRAIN_CLICKS, TRAIN_PROMPTED, TRAIN_VIEWS, fit_projection, read_shard, write_shard
from models.prior.inputs import INPUTS
from models.prior.network import PriorConfig, PriorNetwork
from models.prior.segmenter import WEIGHTS, PriorSegmenter, check_teacher, load_prior
from models.prior.training import PriorTraining, TrainingShape, train_rounds, validate
from models.prior.unions import apart, click_both
from SAM_repo.teacher import load_teacher
from utils.device import choose_device
from utils.errors import UserError, run_cli
from utils.evaluation.annotator import bootstrap_interval, run_part
from utils.evaluation.psb import LabelledShape, UnusableShape, benchmark_ids, choose_ids, load_shape, parts_of
from utils.files import load_torch, save_json, save_torch
from utils.geometry.face_graph import FaceGraph
from utils.options import TEACHERS, positive_int
from utils.shapes.generate import RECIPES

# The teacher's masks of the clicks are trained with, but not asked for: on labelled meshes answers are as good without, after
# corrections better, and a click is three times as fast. (Most corrections in the training have none: prompting is the costliest part.)
LEFT_OUT = ["masks"]
FIRST_SEED = 1_000_000
PROJECTION_SEEDS = range(900_000, 900_016)
HELD_OUT_BELOW, HELD_OUT_FROM = (
    3,
    10_000,
)  # shards that are never trained on: the first ones, and as many of the last as somebody makes
MEASURED_CLICKS = 10
VALIDATED = 24  # held-out shapes that each checkpoint is measured on


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("data", "train", "measure", "unions", "export"))
    parser.add_argument("--folder", type=Path, required=True, help="of the checkpoint and the log, and of the shards")
    parser.add_argument("--data", type=Path, help="folder of the shards and the projection; default: --folder")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--seed", type=int, default=0)
    data = parser.add_argument_group("data")
    data.add_argument("--SAM", choices=TEACHERS, default="auto", help="teacher that embeds the shapes")
    data.add_argument(
        "--shards",
        type=int,
        nargs=2,
        default=(0, 100),
        metavar=("FIRST", "END"),
        help=f"of 8 shapes each; those below {HELD_OUT_BELOW} and from {HELD_OUT_FROM} are for measuring, not for training",
    )
    data.add_argument(
        "--masks",
        type=int,
        choices=(0, 1),
        default=0,
        help="also prompt the teacher for masks of clicks, at twice the time",
    )
    data.add_argument(
        "--families",
        nargs="+",
        metavar="FAMILY",
        help="shapes of these families alone (data); measure on these alone (measure)",
    )
    train = parser.add_argument_group("train")
    train.add_argument("--minutes", type=float, default=60.0, help="the learning rate falls to 0 over them")
    train.add_argument(
        "--steps",
        type=positive_int,
        help="end after so many steps, and let the learning rate fall over them, in place of --minutes: "
        "the same on a busy machine",
    )
    train.add_argument(
        "--init",
        type=Path,
        metavar="FILE",
        help="begin with exported weights, or with the checkpoint of an earlier training; "
        "data: use the projection of these exported weights",
    )
    train.add_argument(
        "--learning_rate", type=float, default=PriorTraining.learning_rate, help="of AdamW at its highest"
    )
    train.add_argument("--width", type=positive_int, default=PriorConfig.width, help="of the network's layers")
    train.add_argument(
        "--neighborhood",
        type=int,
        choices=(0, 1),
        default=1,
        help="0: layers that see each node by itself, for comparison",
    )
    train.add_argument("--left_out", nargs="*", choices=INPUTS, default=[], help="inputs never to give")
    train.add_argument("--hold_out", nargs="+", default=[], metavar="FAMILY", help="families not to train on")
    train.add_argument(
        "--far_share",
        type=share,
        default=PriorTraining.far_share,
        help="of the wishes that are several parts which do not touch",
    )
    train.add_argument(
        "--anywhere", type=share, default=PriorTraining.anywhere, help="share of the clicks that are not innermost"
    )
    train.add_argument(
        "--border_noise",
        type=share,
        default=PriorTraining.border_noise,
        help="share of the wishes with a border beside the crease",
    )
    train.add_argument(
        "--hold", type=float, default=PriorTraining.hold, help="weight, less 1, of what was right before a correction"
    )
    train.add_argument(
        "--bfloat16", type=int, choices=(0, 1), default=1, help="matrix products of the training in bfloat16"
    )
    labelled = parser.add_argument_group("measure, unions")
    labelled.add_argument(
        "--without", nargs="*", choices=INPUTS, help="inputs to leave out, one at a time; default: each (measure)"
    )
    labelled.add_argument("--psb_dir", type=Path, help="folder with off/, seg/Benchmark/ and split.json")
    labelled.add_argument("--ids", type=int, nargs="+", help="shapes; default: the first two of each category")
    labelled.add_argument("--pairs", type=positive_int, default=6, help="of parts, for each shape (unions)")
    parser.add_argument(
        "--out",
        type=Path,
        default=WEIGHTS,
        help="file of the exported weights (export), or to measure (unions, and measure with --psb_dir)",
    )
    return parser


def share(text: str) -> float:
    """A number from 0 to 1, for argparse."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not between 0 and 1")
    return value


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    args.data = args.data or args.folder
    known = set(RECIPES)
    for family in (*args.hold_out, *(args.families or ())):
        if family not in known:
            raise UserError(f"no family of shapes is called {family}; there are {', '.join(sorted(known))}")
    return {"data": make_data, "train": train, "measure": measure, "unions": unions, "export": export}[args.action](
        args
    )


def make_data(args: argparse.Namespace) -> int:
    teacher = load_teacher(args.SAM, device=choose_device(args.device))
    path = args.data / "projection.pt"
    if not path.is_file():
        if (
            args.init is not None
        ):  # the weights that training is to begin with read the embedding through their own projection
            _, first = load_prior(args.init)
            check_teacher(first, teacher)
            mean, components = first["field_mean"].float(), first["field_components"].float()
        else:
            mean, components = fit_projection(teacher, PROJECTION_SEEDS)
        save_torch(path, {"mean": mean, "components": components, "teacher": teacher.name})
    held = load_torch(path, what="projection of the embedding")
    if held["teacher"] != teacher.name:
        raise UserError(
            f"{args.data} holds shapes of another teacher, {held['teacher']}; choose another folder or --SAM"
        )
    for shard in tqdm(range(*args.shards), desc="shapes", unit="shard", disable=None):
        write_shard(
            args.data,
            shard,
            teacher,
            (held["mean"], held["components"]),
            FIRST_SEED,
            args.families and tuple(args.families),
            TRAIN_PROMPTED * args.masks,
        )
    return 0


class Shapes:
    """The shapes that are on disk, for training and held out; `refresh` takes up shards that have come since."""

    def __init__(self, folder: Path, hold_out: list[str], device: torch.device) -> None:
        self.folder, self.hold_out, self.device = folder, hold_out, device
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
                    shape = TrainingShape(example, self.device)
                    measured = shard < HELD_OUT_BELOW or shard >= HELD_OUT_FROM
                    if measured:
                        self.held_out.append(shape)
                    elif shape.family not in self.hold_out:
                        self.training.append(shape)


def first_weights(path: Path, network: PriorNetwork, projection: dict) -> dict:
    """Load into `network` the weights of an exported file or a checkpoint; returns what is known of the training they come from."""
    held = load_torch(path, what="prior decoder or checkpoint of one")
    if "weights" in held and not (
        torch.equal(held["field_components"].float(), projection["components"].float())
        and torch.equal(held["field_mean"].half(), projection["mean"].half())
    ):
        raise UserError(
            f"{path} reads the embedding through another projection than these shapes have: make the data with --init {path}"
        )
    try:
        network.load_state_dict(
            {key: value.float() for key, value in held["weights" if "weights" in held else "average"].items()}
        )
        earlier, settings = held["done"], held["training" if "weights" in held else "settings"]
    except (KeyError, RuntimeError) as error:
        raise UserError(f"{path} holds no prior decoder of this architecture ({network.config})") from error
    return {
        **{key: earlier[key] for key in ("seconds", "steps", "sets", "before") if key in earlier},
        "settings": settings,
    }


def train(args: argparse.Namespace) -> int:
    torch.manual_seed(args.seed)
    device = choose_device(args.device)
    config = PriorConfig(width=args.width, neighborhood=bool(args.neighborhood))
    settings = PriorTraining(
        learning_rate=args.learning_rate,
        left_out=tuple(args.left_out),
        far_share=args.far_share,
        anywhere=args.anywhere,
        border_noise=args.border_noise,
        hold=args.hold,
    )
    projection = load_torch(args.data / "projection.pt", what="projection of the embedding")
    shapes = Shapes(args.data, args.hold_out, device)
    if len(shapes.training) < settings.shapes:
        raise UserError(
            f"{args.data} holds too few shapes; make some first: python scripts/train_prior.py data --folder {args.data}"
        )
    network, average = PriorNetwork(config).to(device), PriorNetwork(config).to(device)
    done = {"seconds": 0.0, "steps": 0, "sets": 0, "log": []}
    if args.init is not None:
        done["before"] = first_weights(args.init, network, projection)
    average.load_state_dict(network.state_dict())
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, betas=(0.9, 0.98)
    )
    path = args.folder / "checkpoint.pt"
    if path.is_file():
        held = load_torch(path, map_location=device, what="checkpoint of the prior")
        if (held["config"], held["settings"], held["hold_out"]) != (
            config.to_dict(),
            settings.to_dict(),
            args.hold_out,
        ):
            raise UserError(f"{path} was trained with other settings; choose another --folder or remove it")
        network.load_state_dict(held["network"])
        average.load_state_dict(held["average"])
        optimizer.load_state_dict(held["optimizer"])
        done = held["done"]
    rng = np.random.default_rng([args.seed, done["steps"]])
    recent: list[dict] = []
    begun, saved, looked = time.time() - done["seconds"], time.time(), time.time()
    queue: list[int] = []
    while (share := done["steps"] / args.steps if args.steps else done["seconds"] / (60 * args.minutes)) < 1:
        rate = (
            settings.learning_rate
            * min(1.0, (done["steps"] + 1) / 60)
            * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
        )
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
            print(
                f"{done['seconds']:.0f} s, {len(shapes.training)} shapes, {done['steps']} steps, {done['sets']} sets: loss "
                f"{np.mean([r['loss'] for r in recent]):.3f}, IoU {np.mean([r['iou'] for r in recent]):.3f}, at one click "
                f"{np.mean([r['iou'] for r in firsts]):.3f} (best of three {np.mean([r['oracle'] for r in firsts]):.3f})",
                flush=True,
            )
            recent = []
        if time.time() - saved > 360:
            save(path, network, average, optimizer, config, settings, args, done, shapes)
            saved = time.time()
    save(path, network, average, optimizer, config, settings, args, done, shapes)
    return 0


def save(path: Path, network, average, optimizer, config, settings, args, done: dict, shapes: Shapes) -> None:
    """Validate and write the checkpoint and the log."""
    done["log"].append(
        {
            "seconds": done["seconds"],
            "steps": done["steps"],
            "sets": done["sets"],
            "shapes": len(shapes.training),
            **validate(average, shapes.held_out[:VALIDATED], settings),
        }
    )
    print("held out: " + ", ".join(f"{key} {value:.3f}" for key, value in done["log"][-1].items()), flush=True)
    save_torch(
        path,
        {
            "network": network.state_dict(),
            "average": average.state_dict(),
            "optimizer": optimizer.state_dict(),
            "config": config.to_dict(),
            "settings": settings.to_dict(),
            "hold_out": args.hold_out,
            "done": done,
        },
    )
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
    if args.psb_dir is not None:
        return measure_labelled(args)
    network, held = load_average(args.folder)
    device, settings = choose_device(args.device), PriorTraining(**held["settings"])
    shapes = [
        shape
        for shape in Shapes(args.data, held["hold_out"], device).held_out
        if args.families is None or shape.family in args.families
    ]
    if not shapes:
        raise UserError(
            f"{args.data} holds no shapes to measure on; make some: "
            f"python scripts/train_prior.py data --folder {args.data} --shards {HELD_OUT_FROM} {HELD_OUT_FROM + 8}"
        )
    network.to(device)
    rows = {
        "innermost clicks": validate(network, shapes, settings, MEASURED_CLICKS),
        "clicks anywhere": validate(network, shapes, settings, MEASURED_CLICKS, anywhere=1.0),
    }
    for name in args.without if args.without is not None else INPUTS:
        if name not in settings.left_out:
            rows[f"without {name}"] = validate(
                network, shapes, replace(settings, left_out=(*settings.left_out, name)), MEASURED_CLICKS
            )
    for name, row in rows.items():
        print(f"{name:18}" + ", ".join(f"{key} {value:.3f}" for key, value in row.items()), flush=True)
    save_json(args.folder / "measured.json", {"shapes": len(shapes), "families": args.families, "rows": rows})
    return 0


def measure_labelled(args: argparse.Namespace) -> int:
    """Leave one input after the other out of the exported weights, on meshes with human-labelled parts."""
    rows: dict[str, list[list[list[float]]]] = {}
    for shape_id, shape, parts, graph in labelled_shapes(args):
        segmenter = PriorSegmenter(
            shape.mesh, load_teacher(args.SAM, device=choose_device(args.device)), weights=args.out
        )
        names = [
            name for name in (args.without if args.without is not None else INPUTS) if name not in segmenter.without
        ]
        for name, method in {
            "all": segmenter,
            **{f"without {name}": segmenter.leaving_out(name) for name in names},
        }.items():
            rows.setdefault(name, []).append(
                [
                    run_part(method, graph, shape.mesh.face_areas, part, MEASURED_CLICKS, MEASURED_CLICKS).iou
                    for part in parts
                ]
            )
    counts = (1, 2, 3, 5, MEASURED_CLICKS)
    summary = {
        name: {f"iou@{k}": interval([[curve[k - 1] for curve in mesh] for mesh in meshes], args.seed) for k in counts}
        for name, meshes in rows.items()
    }
    against = {
        name: {
            f"iou@{k}": interval(
                [[b[k - 1] - a[k - 1] for a, b in zip(*pair)] for pair in zip(rows["all"], meshes)], args.seed
            )
            for k in counts
        }
        for name, meshes in rows.items()
        if name != "all"
    }
    for name, row in summary.items():
        print(
            f"{name:18}"
            + ", ".join(
                f"{key} {values[0]:.3f}"
                + (
                    f" ({against[name][key][1]:+.3f} to {against[name][key][2]:+.3f} against all)"
                    if name in against
                    else ""
                )
                for key, values in row.items()
            )
        )
    save_json(
        args.folder / "measured_labelled.json",
        {"weights": str(args.out), "summary": summary, "against_all": against, "rows": rows},
    )
    return 0


def labelled_shapes(args: argparse.Namespace) -> Iterator[tuple[int, LabelledShape, list[np.ndarray], FaceGraph]]:
    """The shapes that --psb_dir and --ids name, their wanted parts (F,) bool and face graphs."""
    categories = benchmark_ids(args.psb_dir)
    for shape_id in tqdm(choose_ids(categories, args.ids, 2), desc="shapes", unit="shape", disable=None):
        try:
            shape = load_shape(args.psb_dir, shape_id, categories[shape_id])
            parts = parts_of(shape.reference(), shape.mesh.face_areas)
        except UnusableShape as reason:
            print(f"skipped {shape_id}: {reason}", file=sys.stderr)
            continue
        yield shape_id, shape, parts, FaceGraph(shape.mesh)


def interval(groups: list[list[float]], seed: int) -> tuple[float, float, float]:
    """Mean over all values and its 95 % interval when whole meshes are resampled."""
    return float(np.mean(np.concatenate(groups))), *bootstrap_interval(groups, np.random.default_rng(seed))


def unions(args: argparse.Namespace) -> int:
    """Two positive clicks on parts that do not touch: the exported weights and the geodesic baseline, on human-labelled meshes."""
    if args.psb_dir is None:
        raise UserError("give --psb_dir, a folder with off/, seg/Benchmark/ and split.json")
    teacher = load_teacher(args.SAM, device=choose_device(args.device))
    rows: dict[str, list[list[dict]]] = {"iseg_prior": [], "geodesic_concave": []}
    shapes = []
    for shape_id, shape, parts, graph in labelled_shapes(args):
        areas = shape.mesh.face_areas
        pairs = apart(parts, graph, areas, args.pairs, np.random.default_rng([args.seed, shape_id]))
        if not pairs:
            continue
        shapes.append({"id": shape_id, "pairs": pairs})
        segmenter = PriorSegmenter(shape.mesh, teacher, weights=args.out)
        for name, prepared in (
            ("iseg_prior", segmenter),
            (
                "geodesic_concave",
                build_method(MethodSettings(), "geodesic_concave").prepare(shape.mesh, graph).segmenter,
            ),
        ):
            rows[name].append([click_both(prepared, graph, areas, parts[a], parts[b]) for a, b in pairs])
    if not shapes:
        raise UserError(f"no shape among those asked for in {args.psb_dir} has two parts that do not touch")
    summary = {}
    for name, measured in rows.items():
        values = {f"@{k + 2}": [[entry["iou"][k] for entry in mesh] for mesh in measured] for k in range(4)}
        values["each by itself"] = [[entry["each"] for entry in mesh] for mesh in measured]
        summary[name] = {key: interval(groups, args.seed) for key, groups in values.items()}
        print(
            f"{name:18}"
            + ", ".join(
                f"{key} {mean:.3f} ({low:.3f} to {high:.3f})" for key, (mean, low, high) in summary[name].items()
            )
        )
    save_json(
        args.folder / "unions.json", {"weights": str(args.out), "shapes": shapes, "summary": summary, "rows": rows}
    )
    print(
        f"{sum(len(shape['pairs']) for shape in shapes)} pairs of parts on {len(shapes)} meshes: {args.folder / 'unions.json'}"
    )
    return 0


def export(args: argparse.Namespace) -> int:
    network, held = load_average(args.folder)
    projection = load_torch(args.data / "projection.pt", what="projection of the embedding")
    done = held["done"]
    save_torch(
        args.out,
        {
            "format": 1,
            "config": held["config"],
            "weights": {key: value.half() for key, value in network.state_dict().items()},
            "field_mean": projection["mean"].half(),
            "field_components": projection["components"].float(),
            "teacher": projection["teacher"],
            "left_out": sorted({*LEFT_OUT, *held["settings"]["left_out"]}),
            "training": held["settings"],
            "hold_out": held["hold_out"],
            "data": {
                "field": FIELD,
                "views": TRAIN_VIEWS,
                "prompted": TRAIN_PROMPTED,
                "clicks": TRAIN_CLICKS,
                "first_seed": FIRST_SEED,
            },
            "done": {key: done[key] for key in ("seconds", "steps", "sets", "before") if key in done},
            "log": done["log"],
        },
    )
    print(f"written: {args.out} ({args.out.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    run_cli(main)
