"""Training of the prior: it answers a simulated person, learns from what was wanted, and answers the corrections."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.prior.annotator import ClickSet, Habits, TrainingShape, correct, draw_set
from models.prior.checkpoint import MASKS, WEIGHTS, hidden_inputs, load_network
from models.prior.data import (
    FIELD,
    FIRST_SEED,
    HELD_OUT_BELOW,
    HELD_OUT_FROM,
    TRAIN_VIEWS,
    FolderSettings,
    Projection,
    check_families,
    read_shard,
)
from models.prior.inputs import INPUTS, NodeTensors
from models.prior.losses import LossWeights, Measured, set_losses
from models.prior.network import PriorConfig, PriorNetwork
from utils.device import choose_device
from utils.errors import UserError
from utils.files import load_torch, save_json, save_torch
from utils.options import option, positive_int
from utils.progress import Progress, Step, silent
from utils.training import Saver, cosine, set_rate

MEASURED_CLICKS = 10
VALIDATED = 24  # held-out shapes that each checkpoint is measured on
WARM_UP = 60  # steps over which the learning rate rises
MOST_KEPT = 0.998  # of the mean of the network's weights, in a step


@dataclass(frozen=True, kw_only=True)
class PriorTraining(Habits, LossWeights):
    """How it is trained. The defaults are the shipped weights', but for where first clicks fall (docs/prior.md).

    sets           click sets of each shape in a step; shapes: how many in a step
    rounds         most corrections in a row; each round is a step
    learning_rate  of AdamW at its highest
    dropout        share of the shapes for which one kind of input is hidden
    """

    sets: int = 6
    shapes: int = 3
    rounds: int = 7
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.01
    dropout: float = 0.12


@dataclass(frozen=True, kw_only=True)
class TrainSettings(FolderSettings):
    """One run of the training."""

    minutes: float = option(60.0, "the learning rate falls to 0 over them", group="training")
    steps: int | None = option(
        None,
        "end after so many steps, and let the learning rate fall over them, in place of --minutes: the same on a busy "
        "machine",
        type=positive_int,
    )
    init: Path | None = option(
        None, "begin with exported weights, or with the checkpoint of an earlier training", metavar="FILE"
    )
    learning_rate: float = option(PriorTraining.learning_rate, "of AdamW at its highest")
    width: int = option(PriorConfig.width, "of the network's layers", type=positive_int)
    hold_out: tuple[str, ...] = option((), "families not to train on", metavar="FAMILY")
    anywhere: float = option(PriorTraining.anywhere, "share of the clicks that are not innermost")
    border_noise: float = option(PriorTraining.border_noise, "share of the wishes with a border beside the crease")
    bfloat16: bool = option(True, "matrix products of the training in bfloat16")
    save_seconds: float = 360.0

    def __post_init__(self) -> None:
        check_families(self.hold_out)
        for name in ("anywhere", "border_noise"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"--{name} {getattr(self, name):g} is not between 0 and 1")

    @property
    def loop(self) -> PriorTraining:
        return PriorTraining(learning_rate=self.learning_rate, anywhere=self.anywhere, border_noise=self.border_noise)


@dataclass
class LiveShape:
    """A shape in a step: the wishes that are not fulfilled, and its nodes, maybe with an input hidden."""

    shape: TrainingShape
    sets: list[ClickSet]
    nodes: NodeTensors


@dataclass(frozen=True)
class Round:
    """Means over the sets of one round, which is one step."""

    round: int
    sets: int
    loss: float
    iou: float
    oracle: float
    quality_error: float


def train_rounds(
    network: PriorNetwork,
    shapes: Sequence[TrainingShape],
    optimizer: torch.optim.Optimizer,
    settings: PriorTraining,
    rng: np.random.Generator,
    bfloat16: bool = False,
) -> list[Round]:
    """Ask, answer, learn, correct, and again: one step a round."""
    live = [draw_live(shape, settings, rng) for shape in shapes]
    rounds, records = int(rng.integers(1, settings.rounds + 1)), []
    while len(records) < rounds and (live := [each for each in live if each.sets]):
        optimizer.zero_grad(set_to_none=True)
        total, loss_sum, measured = sum(len(each.sets) for each in live), 0.0, []
        for each in live:
            clicks = each.shape.batch(each.sets, each.nodes)
            with torch.autocast(each.shape.device.type, dtype=torch.bfloat16, enabled=bfloat16):
                logits, quality = network(each.nodes, network.encode(each.nodes), clicks)
            logits, quality = logits.float(), quality.float()
            loss, values = set_losses(logits, quality, each.sets, each.shape.weight, settings)
            (loss * len(each.sets) / total).backward()
            loss_sum += float(loss.detach()) * len(each.sets) / total
            measured.append(values)
            if len(records) + 1 < rounds:
                selected = (logits[:, 1].detach() > 0).cpu().numpy()
                for row, click_set in enumerate(each.sets):
                    correct(each.shape, click_set, selected[row], rng, settings.anywhere)
                each.sets = [click_set for click_set in each.sets if not click_set.done]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        records.append(Round(len(records), total, loss_sum, **_means(measured)))
    return records


def draw_live(shape: TrainingShape, settings: PriorTraining, rng: np.random.Generator) -> LiveShape:
    """First clicks on a shape, sometimes with an input hidden."""
    drawn = [draw_set(shape, settings, rng) for _ in range(settings.sets)]
    hidden = (str(rng.choice(INPUTS)),) if rng.random() < settings.dropout else ()
    return LiveShape(shape, [each for each in drawn if each is not None], shape.nodes.hiding(*hidden))


def _means(measured: list[Measured]) -> dict[str, float]:
    names = ("iou", "oracle", "quality_error")
    if not measured:
        return dict.fromkeys(names, float("nan"))
    return {name: float(torch.cat([getattr(each, name) for each in measured]).mean()) for name in names}


@torch.no_grad()
def validate(
    network: PriorNetwork,
    shapes: Sequence[TrainingShape],
    habits: Habits,
    clicks: int = 5,
    sets: int = 4,
    seed: int = 0,
    hidden: tuple[str, ...] = (),
) -> dict[str, float]:
    """Means over wishes on held-out shapes: IoU after each click; best of three and quality error at the first.

    The wishes have borders at the creases and begin with one click; hidden: inputs that the network never gets.
    """
    habits, rng = replace(habits, border_noise=0.0), np.random.default_rng(seed)
    ious: list[list[float]] = [[] for _ in range(clicks)]
    firsts = []
    for shape in shapes:
        nodes = shape.nodes.hiding(*hidden)
        encoded = network.encode(nodes)
        live = [each for each in (draw_set(shape, habits, rng) for _ in range(sets)) if each is not None]
        for click_set in live:
            click_set.nodes, click_set.positive = click_set.nodes[:1], click_set.positive[:1]
        last = np.zeros(len(live))
        for count in range(clicks):
            going = [k for k, click_set in enumerate(live) if not click_set.done]
            if going:
                asked = [live[k] for k in going]
                logits, quality = network(nodes, encoded, shape.batch(asked, nodes))
                _, measured = set_losses(logits, quality, asked, shape.weight, LossWeights())
                last[going] = measured.iou.cpu().numpy()
                firsts += [measured] * (count == 0)
                for click_set, selected in zip(asked, (logits[:, 1] > 0).cpu().numpy()):
                    correct(shape, click_set, selected, rng, habits.anywhere)
            ious[count] += last.tolist()
        shape.release()
    first = _means(firsts)
    return {
        **{f"iou@{k + 1}": float(np.mean(values)) for k, values in enumerate(ious)},
        "oracle@1": first["oracle"],
        "quality_error": first["quality_error"],
        "held_out_sets": len(ious[0]),
    }


# --- one run ---------------------------------------------------------------------------------------


class Shapes:
    """The shapes that are on disk, for training and held out; `refresh` takes up shards that have come since.

    known: the numbers of the shards, in the order in which they were taken up
    """

    def __init__(self, folder: Path, hold_out: Sequence[str], device: torch.device, known: Sequence[int] = ()) -> None:
        self.folder, self.hold_out, self.device = folder, hold_out, device
        self.known: list[int] = []
        self.training: list[TrainingShape] = []
        self.held_out: list[TrainingShape] = []
        for shard in known:
            self._take(shard)
        self.refresh()

    def refresh(self) -> None:
        for shard in sorted(int(path.stem.split("_")[1]) for path in self.folder.glob("shapes_*.npz")):
            if shard not in self.known:
                self._take(shard)

    def _take(self, shard: int) -> None:
        self.known.append(shard)
        for example in read_shard(self.folder / f"shapes_{shard:05d}.npz"):
            shape = TrainingShape(example, self.device)
            if shard < HELD_OUT_BELOW or shard >= HELD_OUT_FROM:
                self.held_out.append(shape)
            elif shape.family not in self.hold_out:
                self.training.append(shape)


@dataclass
class Done:
    """How far a run is; before: what is known of the training that its first weights come from."""

    seconds: float = 0.0
    steps: int = 0
    sets: int = 0
    log: list[dict[str, Any]] | None = None
    before: dict[str, Any] | None = None


class PriorRun:
    """A training and everything it goes on from, saved and restored as a whole in `checkpoint.pt`."""

    def __init__(self, settings: TrainSettings) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.loop, device = settings, settings.loop, choose_device(settings.device)
        self.path, self.config = settings.folder / "checkpoint.pt", PriorConfig(width=settings.width)
        projection = Projection.load(settings.data_folder)
        held = load_torch(self.path, device, "checkpoint of the prior") if self.path.is_file() else {}
        self.shapes = Shapes(settings.data_folder, settings.hold_out, device, held.get("shards", ()))
        if len(self.shapes.training) < self.loop.shapes:
            raise UserError(
                f"{settings.data_folder} holds too few shapes; make some first: "
                f"python scripts/train_prior.py data --folder {settings.data_folder}"
            )
        self.network, self.average = (PriorNetwork(self.config).to(device) for _ in range(2))
        self.done, self.queue = Done(), list[int]()
        if settings.init is not None:
            self.done.before = first_weights(settings.init, self.network, projection)
        self.average.load_state_dict(self.network.state_dict())
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), self.loop.learning_rate, (0.9, 0.98), weight_decay=self.loop.weight_decay
        )
        self.rng = np.random.default_rng([settings.seed, 0])
        if held:
            self._restore(held)

    @property
    def share(self) -> float:
        """How much of the run is done; 1 and more: all."""
        if self.settings.steps:
            return self.done.steps / self.settings.steps
        return self.done.seconds / (60 * self.settings.minutes)

    def go_on(self) -> list[Round]:
        """Draw some shapes and train on them."""
        begun = time.monotonic()
        rate = min(1.0, (self.done.steps + 1) / WARM_UP) * cosine(self.share, 0.02)
        set_rate(self.optimizer, self.loop.learning_rate * rate)
        if len(self.queue) < self.loop.shapes:
            self.queue = self.rng.permutation(len(self.shapes.training)).tolist()
        chosen = [self.shapes.training[self.queue.pop()] for _ in range(self.loop.shapes)]
        records = train_rounds(self.network, chosen, self.optimizer, self.loop, self.rng, self.settings.bfloat16)
        for shape in chosen:
            shape.release()
        self.done.steps += len(records)
        self.done.sets += sum(record.sets for record in records)
        keep = min(MOST_KEPT, 1 - 1 / (1 + self.done.steps / 10)) ** len(records)
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.network.parameters()):
                mean.lerp_(value, 1 - keep)
        self.done.seconds += time.monotonic() - begun
        return records

    def save(self) -> None:
        """Validate, and write the checkpoint, the log and a plot of it."""
        log = self.done.log = self.done.log or []
        about = {key: getattr(self.done, key) for key in ("seconds", "steps", "sets")}
        measured = validate(self.average, self.shapes.held_out[:VALIDATED], replace(self.loop, anywhere=0.0))
        log.append({**about, "shapes": len(self.shapes.training), **measured})
        print("held out: " + ", ".join(f"{key} {value:.3f}" for key, value in log[-1].items()), flush=True)
        held = {
            **self._identity(),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": json.dumps(self.rng.bit_generator.state),
            "queue": self.queue,
            "shards": self.shapes.known,
            "done": {key: value for key, value in asdict(self.done).items() if value is not None},
        }
        save_torch(self.path, held)
        save_json(self.path.parent / "log.json", log)

    def _identity(self) -> dict[str, Any]:
        return {"config": asdict(self.config), "settings": asdict(self.loop), "hold_out": list(self.settings.hold_out)}

    def _restore(self, held: dict[str, Any]) -> None:
        if any(held[key] != value for key, value in self._identity().items()):
            raise UserError(f"{self.path} was trained with other settings; choose another --folder or remove it")
        self.network.load_state_dict(held["network"])
        self.average.load_state_dict(held["average"])
        self.optimizer.load_state_dict(held["optimizer"])
        self.rng.bit_generator.state = json.loads(held["generator"])
        self.queue, self.done = held["queue"], Done(**held["done"])


def train(settings: TrainSettings, on_progress: Progress = silent) -> None:
    """Train on the shapes that are there, or go on where an earlier run with these settings stopped.

    With `steps` and the same shapes, an interrupted run ends with the same weights as one that was not. Not reproduced:
    with `minutes` the learning rate follows the clock, and shards that come during a run are taken up when they are
    noticed. Raises UserError if there are too few shapes, or the folder holds the training of other settings.
    """
    run = PriorRun(settings)
    save, look = Saver(run.save, settings.save_seconds), Saver(run.shapes.refresh, 60)
    total = settings.steps or round(60 * settings.minutes)
    while run.share < 1:
        records = run.go_on()
        done = run.done.steps if settings.steps else int(run.done.seconds)
        note = f"loss {np.mean([each.loss for each in records]):.3f}, {len(run.shapes.training)} shapes"
        look()
        save()
        on_progress(Step("train prior", min(done, total), total, "step" if settings.steps else "s", note))
    run.save()


def first_weights(path: Path, network: PriorNetwork, projection: Projection) -> dict[str, Any]:
    """Load into `network` an exported file or a checkpoint; returns what is known of the training it comes from."""
    held = load_torch(path, what="prior decoder or checkpoint of one")
    if "weights" in held and not (
        torch.equal(held["field_components"].float(), projection.components.float())
        and torch.equal(held["field_mean"].half(), projection.mean.half())
    ):
        raise UserError(
            f"{path} reads the embedding through another projection than these shapes have: "
            f"make the data with --init {path}"
        )
    try:
        weights, settings = ("weights", "training") if "weights" in held else ("average", "settings")
        left_out = held.get("left_out", held[settings].get("left_out", (MASKS,)))
        network.load_state_dict(load_network(held["config"], held[weights], left_out).state_dict())
        earlier, settings = held["done"], held[settings]
    except (KeyError, TypeError, RuntimeError) as error:
        raise UserError(f"{path} holds no prior decoder of this architecture ({network.config})") from error
    known = {key: earlier[key] for key in ("seconds", "steps", "sets", "before") if key in earlier}
    return {**known, "settings": settings}


# --- what becomes of it ----------------------------------------------------------------------------


def load_average(folder: Path) -> tuple[PriorNetwork, dict[str, Any]]:
    """The mean of the network's weights of the run in `folder`, and its checkpoint."""
    held = load_torch(folder / "checkpoint.pt", what="checkpoint of the prior")
    network = load_network(held["config"], held["average"], held["settings"].get("left_out", (MASKS,)))
    return network.eval(), held


@dataclass(frozen=True, kw_only=True)
class MeasureSettings(FolderSettings):
    """What to measure on."""

    families: tuple[str, ...] | None = option(None, "shapes of these families alone", metavar="FAMILY", group="measure")

    def __post_init__(self) -> None:
        check_families(self.families or ())


def measure(settings: MeasureSettings) -> dict[str, dict[str, float]]:
    """IoU after each click on the held-out shapes, clicks innermost and anywhere; also written to `measured.json`."""
    network, held = load_average(settings.folder)
    device, folder = choose_device(settings.device), settings.data_folder
    shapes = Shapes(folder, held["hold_out"], device).held_out
    if settings.families is not None:
        shapes = [shape for shape in shapes if shape.family in settings.families]
    if not shapes:
        raise UserError(
            f"{folder} holds no shapes to measure on; make some: "
            f"python scripts/train_prior.py data --folder {folder} --shards {HELD_OUT_FROM} {HELD_OUT_FROM + 8}"
        )
    rows = {}
    for name, anywhere in (("innermost clicks", 0.0), ("clicks anywhere", 1.0)):
        habits = Habits(
            group_share=held["settings"]["group_share"], union_share=held["settings"]["union_share"], anywhere=anywhere
        )
        hidden = hidden_inputs(held["settings"])
        rows[name] = validate(network.to(device), shapes, habits, MEASURED_CLICKS, hidden=hidden)
        print(f"{name:18}" + ", ".join(f"{key} {value:.3f}" for key, value in rows[name].items()), flush=True)
    save_json(settings.folder / "measured.json", {"shapes": len(shapes), "families": settings.families, "rows": rows})
    return rows


@dataclass(frozen=True, kw_only=True)
class ExportSettings(FolderSettings):
    """Where the weights go."""

    out: Path = option(WEIGHTS, "file of the exported weights", group="export")


def export(settings: ExportSettings) -> Path:
    """Write the weights of the run in half precision, with what they were trained on."""
    network, held = load_average(settings.folder)
    projection, done, out = Projection.load(settings.data_folder), held["done"], settings.out
    save_torch(
        out,
        {
            "format": 1,
            "config": asdict(network.config),
            "weights": {key: value.half() for key, value in network.state_dict().items()},
            "field_mean": projection.mean.half(),
            "field_components": projection.components.float(),
            "teacher": projection.teacher,
            "left_out": sorted({MASKS, *hidden_inputs(held["settings"])}),
            "training": held["settings"],
            "hold_out": held["hold_out"],
            "data": {"field": FIELD, "views": TRAIN_VIEWS, "first_seed": FIRST_SEED},
            "done": {key: done[key] for key in ("seconds", "steps", "sets", "before") if key in done},
            "log": done["log"],
        },
    )
    print(f"written: {out} ({out.stat().st_size / 1e6:.1f} MB)")
    return out
