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

from models.prior.annotator import ClickSet, Habits, TrainingShape, correct_answers, draw_set
from models.prior.checkpoint import load_network
from models.prior.data import FolderSettings, Projection, Shapes, check_families
from models.prior.inputs import INPUTS, NodeTensors
from models.prior.losses import LossWeights, Measured, set_losses
from models.prior.measuring import validate
from models.prior.network import PriorConfig, PriorNetwork
from utils.device import choose_device
from utils.errors import UserError
from utils.files import load_torch, save_json, save_torch
from utils.options import RATE, option, positive_int
from utils.progress import Progress, Step, silent
from utils.training import Saver, check_loss, cosine, restored, set_rate

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

    minutes: float = option(60.0, "the learning rate falls to 0 over them", within="(0, 10000000]", group="training")
    steps: int | None = option(
        None,
        "end after so many steps, and let the learning rate fall over them, in place of --minutes: the same on a busy "
        "machine",
        type=positive_int,
    )
    init: Path | None = option(
        None, "begin with exported weights, or with the checkpoint of an earlier training", metavar="FILE"
    )
    learning_rate: float = option(PriorTraining.learning_rate, "of AdamW at its highest", within=RATE)
    width: int = option(PriorConfig.width, "of the network's layers", within="[8, 4096]")
    hold_out: tuple[str, ...] = option((), "families not to train on", metavar="FAMILY")
    anywhere: float = option(PriorTraining.anywhere, "share of the clicks that are not innermost")
    border_noise: float = option(PriorTraining.border_noise, "share of the wishes with a border beside the crease")
    bfloat16: bool = option(True, "matrix products of the training in bfloat16")
    save_seconds: float = 360.0

    def __post_init__(self) -> None:
        super().__post_init__()
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
                correct_answers(each.shape, each.sets, logits[:, 1].detach().cpu().numpy(), settings, rng)
                each.sets = [click_set for click_set in each.sets if not click_set.done]
        check_loss(loss_sum)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        records.append(Round(len(records), total, loss_sum, **Measured.means(measured)))
    return records


def draw_live(shape: TrainingShape, settings: PriorTraining, rng: np.random.Generator) -> LiveShape:
    """First clicks on a shape, sometimes with an input hidden."""
    drawn = [draw_set(shape, settings, rng) for _ in range(settings.sets)]
    nodes = shape.nodes.hiding(str(rng.choice(INPUTS))) if rng.random() < settings.dropout else shape.nodes
    return LiveShape(shape, [each for each in drawn if each is not None], nodes)


# --- one run ---------------------------------------------------------------------------------------


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
        held = load_torch(self.path, device, "checkpoint of the prior", dict) if self.path.is_file() else {}
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
            restored(self.path, lambda: self._restore(held), "choose another --folder or remove it")

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
        """Validate, and write the checkpoint and the log."""
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
    held = load_torch(path, what="prior decoder or checkpoint of one", kind=dict)
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
        network.load_state_dict(load_network(held["config"], held[weights]).state_dict())
        earlier, settings = held["done"], held[settings]
    except (KeyError, TypeError, RuntimeError) as error:
        raise UserError(f"{path} holds no prior decoder of this architecture ({network.config})") from error
    known = {key: earlier[key] for key in ("seconds", "steps", "sets", "before") if key in earlier}
    return {**known, "settings": settings}
