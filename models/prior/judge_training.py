"""How the judge learns: corrections of a simulated person on synthetic shapes, with the IoU of every reading.

In rounds: the first is answered without a judge, each later one mostly by the judge of those before, so that it knows
what its own choices lead to.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.prior.annotator import Habits, TrainingShape, correct, draw_set, first_click
from models.prior.answers import NodeAnswers, consulted
from models.prior.checkpoint import load_prior
from models.prior.corrections import NodeAnswer
from models.prior.data import FolderSettings
from models.prior.earlier_clicks import Earlier
from models.prior.judge import WEIGHTS, Judge, load_judge
from models.prior.readings import KNOWN, Asking
from models.prior.rounds import RoundSettings, each_shard, learned_and_held_out
from utils.errors import UserError
from utils.files import load_npz, save_npz, save_torch
from utils.options import option, positive_int
from utils.progress import Progress, Step, silent
from utils.training import check_loss, cosine, set_rate

WISHES, CORRECTIONS = 24, 8
HABITS = Habits(left_out=0.3, border_noise=0.15, elsewhere=0.0, forgotten=0.0)
PEOPLE = (0.0, 0.0, 0.4, 1.0)  # how much of their clicks different people make anywhere in a region
BY_JUDGE, BY_CHANCE = 0.7, 0.2  # of the corrections that go on from the judge's answer, and from another nearly as good
NEARLY = 0.1  # IoU by which it may be worse
BATCH, RATE, DECAY, EXPECTED_WEIGHT = 128, 2e-3, 1e-3, 0.5
LEAST_DEVIATION = 0.05


@dataclass(frozen=True, kw_only=True)
class CorrectionSettings(RoundSettings):
    """Corrections to learn from, on the shapes in the folder."""

    judge: Path | None = option(None, "most corrections are answered by this judge, from the second round on")


@dataclass(frozen=True, kw_only=True)
class JudgeSettings(FolderSettings):
    """The training of the judge."""

    epochs: int = option(20, "over all corrections", type=positive_int)
    out: Path = option(WEIGHTS, "file of the weights")


@dataclass(frozen=True, eq=False)
class Situation:
    """A correction: known (R, K) float16 and allowed (R,) bool of its readings, their IoU (R,) float16 with what is
    wanted."""

    known: np.ndarray
    iou: np.ndarray
    allowed: np.ndarray


def make_corrections(settings: CorrectionSettings, on_progress: Progress = silent) -> None:
    """Write those of the shards that have none yet (`each_shard`)."""
    network, _ = load_prior()
    judge = load_judge(settings.judge) if settings.judge else None
    for path, shapes in each_shard(settings, "corrections", on_progress):
        found = []
        for shape, rng in shapes:
            answers = consulted(NodeAnswers(shape.graph, network, shape.nodes), shape.seen)
            found += [each for _ in range(WISHES) for each in _corrections(shape, answers, judge, rng)]
        save_npz(path, compressed=False, **_joined(found))


def _corrections(
    shape: TrainingShape, answers: NodeAnswers, judge: Judge | None, rng: np.random.Generator
) -> list[Situation]:
    """Of one wish, drawn anew."""
    wish = draw_set(shape, HABITS, rng)
    if wish is None:
        return []
    anywhere = float(rng.choice(PEOPLE))
    wish.nodes, wish.positive = [first_click(shape, wish.target, rng, anywhere)], [True]
    answer, found, earlier = answers.single(wish.nodes[0]), list[Situation](), list[Earlier]()
    for _ in range(CORRECTIONS):
        correct(shape, wish, answer.selected, rng, anywhere)
        if wish.done:
            break
        asking = answers.asking(answer, np.array(wish.nodes), np.array(wish.positive), earlier)
        earlier = [*earlier, (answer.selected, wish.nodes[-1], wish.positive[-1])]
        situation, answer = _answered(shape, answers, judge, wish.target, asking, rng)
        found.append(situation)
    return found


def _answered(
    shape: TrainingShape,
    answers: NodeAnswers,
    judge: Judge | None,
    target: np.ndarray,
    asking: Asking,
    rng: np.random.Generator,
) -> tuple[Situation, NodeAnswer]:
    """The readings of a correction towards the target, and the answer that the person sees next."""
    readings = answers.terrain.readings(asking)
    known = answers.terrain.describe(readings, asking).astype(np.float16)
    both = (readings.selected & target) @ shape.share
    either = (readings.selected | target) @ shape.share
    iou = (both / np.maximum(either, 1e-9)).astype(np.float16)
    row = 0
    if judge is not None and rng.random() < BY_JUDGE:
        row, _ = judge.choose(known.astype(np.float32), readings.allowed)
    if rng.random() < BY_CHANCE:
        other = int(rng.choice(np.flatnonzero(readings.allowed)))
        row = other if iou[other] > iou[0] - NEARLY else row
    return Situation(known, iou, readings.allowed), readings.answer(row, asking)


def _joined(situations: list[Situation]) -> dict[str, np.ndarray]:
    """Arrays of S situations, their readings one after the other."""
    return {
        "names": np.array(KNOWN),
        "known": np.concatenate([np.zeros((0, len(KNOWN)), np.float16), *(each.known for each in situations)]),
        "iou": np.concatenate([np.zeros(0, np.float16), *(each.iou for each in situations)]),
        "allowed": np.concatenate([np.zeros(0, bool), *(each.allowed for each in situations)]),
        "count": np.array([len(each.iou) for each in situations], dtype=np.int64),
    }


@dataclass(frozen=True, eq=False)
class Situations:
    """S corrections with T readings in all: known (T, K) float16, iou (T,), allowed (T,); count (S,)."""

    known: Tensor
    iou: Tensor
    allowed: Tensor
    count: Tensor

    @classmethod
    def load(cls, paths: list[Path]) -> Situations:
        """UserError if one was made by an earlier version."""
        held = [load_npz(path, "corrections to learn from") for path in paths]
        for path, each in zip(paths, held):
            if each["names"].tolist() != list(KNOWN):
                raise UserError(f"{path} was made by an earlier version: remove it, and make the corrections again")
        names = "known", "iou", "allowed", "count"
        return cls(*(torch.from_numpy(np.concatenate([each[name] for each in held])) for name in names))

    def __len__(self) -> int:
        return len(self.count)

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """known (..., R, K) float32, allowed, iou (..., R) of situations `rows`, padded by what is not allowed."""
        start = self.count.cumsum(0) - self.count
        place = torch.arange(int(self.count[rows].max()))
        present = place < self.count[rows][..., None]
        at = (start[rows][..., None] + place) * present
        return self.known[at].float(), self.allowed[at] & present, self.iou[at].float() * present


def train_judge(settings: JudgeSettings, on_progress: Progress = silent) -> dict[str, float]:
    """Learn from all corrections in the folder and write the weights; returns what `measure_judge` finds."""
    training, held_out = learned_and_held_out(settings.data_folder, "corrections")
    judge = fit_judge(Situations.load(training), settings.epochs, settings.seed, on_progress)
    measured = measure_judge(judge, Situations.load(held_out))
    print("held out: " + ", ".join(f"{name} {value:.4f}" for name, value in measured.items()), flush=True)
    save_torch(settings.out, {**judge.state(), "held_out": measured})
    return measured


def _batches(count: Tensor) -> list[Tensor]:
    """A random order of situations with `count` (S,) readings, in batches of the same size; those of a batch have
    about as many, so that little is padded."""
    alike = (count.log() + 0.3 * torch.rand(len(count))).argsort()
    missing = -len(count) % BATCH
    batches = torch.cat([alike, alike[torch.randint(len(alike), (missing,))]]).view(-1, BATCH)
    return list(batches[torch.randperm(len(batches))])


def fit_judge(situations: Situations, epochs: int, seed: int = 0, on_progress: Progress = silent) -> Judge:
    """Choices of the highest IoU that can be expected of them."""
    torch.manual_seed(seed)
    judge = Judge()
    known = situations.known[situations.allowed].float()
    judge.mean.copy_(known.mean(dim=0))
    judge.deviation.copy_(known.std(dim=0).clamp(min=LEAST_DEVIATION))
    optimizer = torch.optim.AdamW(judge.parameters(), RATE, weight_decay=DECAY)
    done, steps = 0, epochs * -(-len(situations) // BATCH)
    for epoch in range(epochs):
        for rows in _batches(situations.count):
            set_rate(optimizer, RATE * cosine(done / steps))
            done += 1
            known, allowed, iou = (values[None] for values in situations.batch(rows))
            logits, expected = judge.members(known, allowed)
            missed = 1 - (logits.softmax(dim=-1) * iou).sum(dim=-1).mean(dim=1)
            wrong = (((expected - iou) ** 2) * allowed).sum(dim=(1, 2)) / allowed.sum(dim=(1, 2))
            loss = (missed + EXPECTED_WEIGHT * wrong).sum()
            check_loss(loss.detach())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        on_progress(Step("train judge", epoch + 1, epochs, "epoch", f"loss {float(loss.detach()):.3f}"))
    return judge.eval().requires_grad_(False)


@torch.inference_mode()
def measure_judge(judge: Judge, situations: Situations) -> dict[str, float]:
    """Mean IoU of what is answered without a judge, of its choice, and of the best reading; how often it loses 0.1."""
    without, chosen, best = [], [], []
    for rows in torch.arange(len(situations)).split(BATCH):
        known, allowed, iou = situations.batch(rows)
        row = judge(known, allowed)[0].argmax(dim=-1, keepdim=True)
        without.append(iou[:, 0])
        chosen.append(iou.gather(-1, row)[:, 0])
        best.append(iou.masked_fill(~allowed, 0).amax(dim=-1))
    before, after = torch.cat(without), torch.cat(chosen)
    return {
        "without": float(before.mean()),
        "judge": float(after.mean()),
        "best": float(torch.cat(best).mean()),
        "loses": float((after - before < -0.1).float().mean()),
    }
