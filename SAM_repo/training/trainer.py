"""One training of vit_t: its state, its steps, and what it writes into the folder of the run."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.utils.data import DataLoader

from SAM_repo.evaluation.measure import click_sets, measure
from SAM_repo.training.config import TrainConfig
from SAM_repo.training.losses import AuxiliaryHeads, training_loss
from SAM_repo.training.optimiser import build_optimisers, learning_rate
from SAM_repo.training.plot import plot_curve
from SAM_repo.training.tables import append_row, drop_rows_after
from SAM_repo.training.views import TrainingViews, claim_views, families_without
from SAM_repo.views import Batch
from SAM_repo.vit_t import VitTConfig, build_vit_t, restore_vit_t, set_image_size
from utils.device import choose_device, fast_autocast
from utils.errors import UserError
from utils.files import load_torch, save_torch
from utils.options import Checked, option, positive_int
from utils.progress import Progress, Step, silent
from utils.training import Saver, check_loss, restored, set_rate

KIND, CHECKPOINT = "vit_t training", "checkpoint.pth"
SIZES = VitTConfig()  # of a new run
COUNTERS = ("step", "images", "seconds")


@dataclass(frozen=True, kw_only=True)
class RunSettings(Checked):
    """Where and how a training runs; `TrainConfig` says what it computes."""

    data: Path | None = option(None, "folder that keeps the shapes' views; not needed with --shapes 0", group="run")
    run: Path = option(help="folder of the run: checkpoint, log")
    device: str = option("auto", "auto, cpu or cuda")
    threads: int = option(torch.get_num_threads(), "threads of the processor", type=positive_int)
    workers: int = option(0, "processes that make the batches; they do not change them")
    processes: int = option(
        1,
        "processes that train and average their weights every few steps: on a shared processor one thread each loses "
        "far less to waiting than several threads in one",
        type=positive_int,
    )
    stop_after: float | None = option(
        None,
        "stop then, as an interruption would; the schedule goes by steps, so this changes nothing else",
        metavar="MINUTES",
    )
    save_every: float = option(180.0, "between checkpoints", metavar="SECONDS")
    measure_every: float = option(600.0, "between measurements", metavar="SECONDS")
    labelled: Path | None = option(None, "folder with off/ and seg/ of labelled meshes, only measured on")
    plot: Path | None = option(None, "draw the curve of the run here", metavar="PNG")
    restart: bool = option(False, "ignore an existing checkpoint of the run", nargs="?", const=True)
    clicks: int = 150  # measured on each set; 0: nothing is measured
    log_every: int = 25  # steps


class Trainer:
    """One process of a training: what a checkpoint holds, its steps, and the books that the first process keeps."""

    def __init__(
        self,
        settings: RunSettings,
        config: TrainConfig,
        sizes: VitTConfig,
        state: dict[str, Any] | None,
        rank: int = 0,
        on_progress: Progress = silent,
    ) -> None:
        torch.manual_seed(config.seed)
        self.settings, self.config, self.rank, self.on_progress = settings, config, rank, on_progress
        self.sizes = VitTConfig(**state["model_config"]) if state else sizes
        self.device = choose_device(settings.device)
        self.sam = build_vit_t(self.sizes).to(self.device).train()
        self.heads = AuxiliaryHeads(self.sizes).to(self.device)
        self.average = {k: v.clone() for k, v in self.sam.state_dict().items()}
        self.optimisers = build_optimisers(self.sam, self.heads, config)
        self.generator = torch.Generator().manual_seed(config.seed + 1000 * rank)
        self.step, self.images, self.seconds = 0, 0, 0.0
        if state:
            restored(settings.run / CHECKPOINT, lambda: self._restore(state), "begin the run again with --restart")
        self.sums, self.note = Counter[str](), ""
        self.sets = click_sets(settings.labelled, settings.clicks) if not rank and settings.clicks else {}

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {
            "kind": KIND,
            "model_config": asdict(self.sizes),
            "train_config": asdict(self.config),
            "sam": self.sam.state_dict(),
            "heads": self.heads.state_dict(),
            "average": self.average,
            "optimisers": [o.state_dict() for o in self.optimisers],
            "generator": self.generator.get_state(),
            **{name: getattr(self, name) for name in COUNTERS},
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.sam.load_state_dict(state["sam"])
        self.heads.load_state_dict(state["heads"])
        self.average = {k: v.to(self.device) for k, v in state["average"].items()}
        for optimiser, saved in zip(self.optimisers, state["optimisers"]):
            optimiser.load_state_dict(saved)
        self.generator.set_state(state["generator"].cpu())
        self.step, self.images, self.seconds = (state[name] for name in COUNTERS)
        if self.rank:
            self.generator.manual_seed(self.config.seed + 1000 * self.rank + self.step)

    def run(self) -> None:
        """Train and, in the first process, log, save and measure."""
        settings, begun, start = self.settings, time.monotonic(), self.step
        saver, measurer = Saver(self._save, settings.save_every), Saver(self._measure, settings.measure_every)
        clock = time.monotonic()
        for batch in self._batches():
            values = self._train_step(batch.to(self.device))
            self.seconds += time.monotonic() - clock
            if not self.rank:
                self._log(values)
                saver()
                measurer()
            late = settings.stop_after is not None and time.monotonic() - begun > 60 * settings.stop_after
            if settings.stop_after is not None and agreed(late):
                break
            clock = time.monotonic()  # measuring is no training
        if not self.rank and self.step > start:
            self._save()
            self._measure()

    def _batches(self) -> DataLoader:
        workers = self.settings.workers
        return DataLoader(
            TrainingViews(self.config, self.sizes.image_size, self.settings.data, self.rank),
            batch_size=None,
            sampler=range(self.step, self.config.steps),
            num_workers=workers,
            pin_memory=self.device.type == "cuda",
            prefetch_factor=4 if workers else None,
        )

    def _train_step(self, batch: Batch) -> dict[str, float]:
        """One optimiser step on one batch; returns what is logged."""
        config = self.config
        rate = learning_rate(config, self.step)
        set_image_size(self.sam, batch.images.shape[1])
        balance = max(0.0, 1 - self.step / config.steps / config.balance_until)
        with fast_autocast(self.device):
            result = training_loss(self.sam, self.heads, batch, config, balance, self.generator)
        for optimiser in self.optimisers:
            set_rate(optimiser, rate)
            optimiser.zero_grad(set_to_none=True)
        check_loss(result.loss.detach(), self.step)
        result.loss.backward()
        parameters = [p for o in self.optimisers for g in o.param_groups for p in g["params"]]
        norm = torch.nn.utils.clip_grad_norm_(parameters, config.largest_gradient)
        if torch.isfinite(norm):
            for optimiser in self.optimisers:
                optimiser.step()
        self._update_average()
        self.step += 1
        self.images += len(batch.images) * (dist.get_world_size() if dist.is_initialized() else 1)
        if dist.is_initialized() and self.step % config.sync_every == 0:
            self._average_processes()
        return dict(result.parts, norm=float(norm), lr=rate, size=batch.images.shape[1])

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        for name, value in self.sam.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)

    @torch.no_grad()
    def _average_processes(self) -> None:
        """All processes go on from the mean of their weights."""
        for tensor in (*self.sam.parameters(), *self.heads.parameters()):
            dist.all_reduce(tensor)
            tensor /= dist.get_world_size()

    def _log(self, values: dict[str, float]) -> None:
        self.sums.update(values, steps=1)
        if self.step % self.settings.log_every == 0:
            means = {name: round(self.sums[name] / self.sums["steps"], 5) for name in values}
            append_row(self.settings.run / "log.csv", self._counters(1) | means)
            self.note = f"loss {means['loss']:.3f} IoU {means['iou0']:.3f}"
            self.sums.clear()
        self.on_progress(Step("training", self.step, self.config.steps, note=self.note))

    def _counters(self, digits: int | None = None) -> dict[str, Any]:
        return {"step": self.step, "images": self.images, "seconds": round(self.seconds, digits)}

    def _save(self) -> None:
        save_torch(self.settings.run / CHECKPOINT, self.state())

    def _measure(self) -> None:
        """Measure the averaged weights, append a row for each set to measure.csv, and draw the curve."""
        run = self.settings.run
        sam = restore_vit_t(asdict(self.sizes), self.average).to(self.device)
        for name, clicks in self.sets.items():
            result = {k: round(v, 4) for k, v in measure(sam, clicks, self.device).items()}
            append_row(run / "measure.csv", self._counters() | {"set": name} | result)
        if self.settings.plot is not None:
            plot_curve(run / "log.csv", run / "measure.csv", self.settings.plot)


# ---- a run -----------------------------------------------------------------------------------------------------------


def train(
    settings: RunSettings, changed: dict[str, Any], sizes: VitTConfig = SIZES, on_progress: Progress = silent
) -> None:
    """Train to the last step, or until `stop_after` minutes; goes on where an earlier run stopped.

    changed: fields of `TrainConfig` that are not as in the run so far, or as by default. log.csv gets means over
    `log_every` steps, measure.csv the measurements. Raises UserError for settings that make no sense.
    """
    settings.run.mkdir(parents=True, exist_ok=True)
    if settings.processes == 1:
        _train_process(0, settings, changed, sizes, None, on_progress)
        return
    with tempfile.TemporaryDirectory() as folder:
        rest = (settings, changed, sizes, f"file://{folder}/meet", on_progress)
        torch.multiprocessing.spawn(_train_process, rest, nprocs=settings.processes)  # pyright: ignore


def _train_process(
    rank: int,
    settings: RunSettings,
    changed: dict[str, Any],
    sizes: VitTConfig,
    meeting: str | None,
    on_progress: Progress = silent,
) -> None:
    """One training process; `meeting` is where several find one another."""
    torch.set_num_threads(settings.threads)
    state = read_run(settings.run) if (settings.run / CHECKPOINT).exists() and not settings.restart else None
    config = train_config({**(state["train_config"] if state else {}), **changed}, settings.data)
    if meeting:
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=settings.processes)
    trainer = Trainer(settings, config, sizes, state, rank, on_progress)
    if not rank:
        if settings.data is not None and config.shapes:
            claim_views(settings.data, config.stored_views, config.left_out())
        for name in ("log.csv", "measure.csv"):
            drop_rows_after(settings.run / name, trainer.step)
    trainer.run()


def agreed(stop: bool) -> bool:
    """Whether the first process wants to stop: all stop after the same step."""
    if not dist.is_initialized():
        return stop
    wish = torch.tensor([float(stop)])
    dist.broadcast(wish, 0)
    return bool(wish)


def train_config(values: dict[str, Any], data: Path | None) -> TrainConfig:
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
            "--steps must be at least 1, --shapes at least 0, --small_size a multiple of 16, "
            "--corrected at most --prompts"
        )
    if config.shapes and data is None:
        remedy = "or --shapes 0 to draw new shapes in every step and keep nothing"
        raise UserError(f"give a folder for the views with --data DIR, {remedy}")
    return config


# ---- what a run leaves -----------------------------------------------------------------------------------------------


def read_run(run: Path) -> dict[str, Any]:
    """The checkpoint of a run; UserError if there is none or it is something else."""
    path = run / CHECKPOINT
    state = load_torch(path, what="training checkpoint of vit_t")
    if not isinstance(state, dict) or state.get("kind") != KIND:
        raise UserError(f"{path} is not a training checkpoint of vit_t")
    return state


def export(run: Path, output: Path) -> None:
    """Write averaged weights in fp16 with everything needed to rebuild the model and to say how it was trained."""
    state = read_run(run)
    weights = {k: v.half() if v.is_floating_point() else v for k, v in state["average"].items()}
    trained = {"steps": state["step"], "images": state["images"], "seconds": round(state["seconds"])}
    kept = {name: state[name] for name in ("model_config", "train_config")}
    save_torch(output, {"kind": "vit_t", **kept, "trained": trained, "weights": weights})


def measured_run(run: Path, labelled: Path | None, clicks: int) -> dict[str, dict[str, float]]:
    """`measure` of a run's averaged weights on each of `click_sets`."""
    state, device = read_run(run), torch.device("cpu")
    sam = restore_vit_t(state["model_config"], state["average"])
    return {name: measure(sam, of_set, device) for name, of_set in click_sets(labelled, clicks).items()}
