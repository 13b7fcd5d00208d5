"""Click sets for the training of a decoder: a simulated person wants a lifted mask and corrects the decoder's answers.

A mask says what its own click selects, but as well what any click well inside it does: so a few masks teach clicks all
over the mesh. And two clicks, as in the paper, do not teach the third: the person corrects what the decoder in training
answers, up to seven times, as the one of the benchmark does.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from utils.supervision.lifted_targets import ClickTable, LiftedTargets

OWN = 0.2  # share of the first clicks that are those which the teacher was asked about
BALANCE = 0.65  # masks are drawn by their size to minus this, so that small ones are not drowned
CORRECTIONS = (0.35, 0.2, 0.15, 0.1, 0.08, 0.05, 0.04, 0.03)  # chances of 0, 1, ... corrections
LOOKED_AT = 256  # places where the person looks for mistakes

Answer = Callable[[ClickTable, Tensor], Tensor]  # of B sets at rows (B, N): the logit of being selected (B, N)


def second_order(targets: LiftedTargets) -> LiftedTargets:
    """The masks of single clicks (K, M), each joined with those of the clicks that it holds and that hold its own.

    Smoother than one mask, and known where no view of its own click looks. Rows are those of the clicks' sets.
    """
    place = torch.full((int(targets.rows.max()) + 1,), -1, dtype=torch.int64, device=targets.rows.device)
    place[targets.rows] = torch.arange(len(targets.rows), device=targets.rows.device)
    own = place[targets.clicks.vertices[:, 0].clamp(max=len(place) - 1)]
    holds = (targets.target[:, own.clamp(min=0)] > 0.5) & (own >= 0)
    mutual = (holds & holds.T).float()
    mutual.fill_diagonal_(1.0)
    ones, total = mutual @ (targets.target * targets.weight), mutual @ targets.weight
    return LiftedTargets(
        targets.clicks,
        targets.rows,
        total / total.sum(dim=1, keepdim=True).clamp(min=1e-12),
        (ones / total.clamp(min=1e-12)).clamp(0, 1),
    )


class SimulatedPerson:
    """wishes: lifted masks of single clicks (K, M); pool (P,) int64 places among their rows that may be clicked.

    Where no view of a wish looks, nothing is known to be wanted or not, and nothing is clicked.
    """

    def __init__(self, wishes: LiftedTargets, pool: Tensor, generator: torch.Generator) -> None:
        self.wishes, self.generator = wishes, generator
        size = (wishes.weight * wishes.target).sum(dim=1)
        chance = torch.where(size > 0, size.clamp(min=1e-6) ** -BALANCE, torch.zeros_like(size)).cpu()
        self.chance = chance if chance.any() else torch.ones_like(chance)
        self.pool = pool.to(wishes.rows.device)
        self.wanted = wishes.target[:, self.pool] > 0.5  # (K, P)
        self.known = wishes.weight[:, self.pool] > 0

    def sets(self, count: int, answer: Answer) -> tuple[Tensor, ClickTable]:
        """Wishes (count,) int64 and clicks towards them, the later of which correct what the decoder answers."""
        wish = torch.multinomial(self.chance, count, replacement=True, generator=self.generator)
        wish = wish.to(self.pool.device)
        corrections = int(torch.multinomial(torch.tensor(CORRECTIONS), 1, generator=self.generator))
        table = self._first(wish, 1 + corrections)
        for place in range(1, 1 + corrections):
            self._correct(wish, table, place, answer)
        return wish, table

    def _first(self, wish: Tensor, width: int) -> ClickTable:
        inside = self.wanted[wish]
        own = self._uniform(len(wish)) < OWN
        own |= ~inside.any(dim=1)
        drawn = self.wishes.rows[self.pool[self._any_of(inside)]]
        vertices = torch.zeros((len(wish), width), dtype=torch.int64, device=wish.device)
        vertices[:, 0] = torch.where(own, self.wishes.clicks.vertices[wish, 0], drawn)
        positive, present = torch.zeros_like(vertices, dtype=torch.bool), torch.zeros_like(vertices, dtype=torch.bool)
        positive[:, 0] = present[:, 0] = True
        return ClickTable(vertices, positive, present)

    def _correct(self, wish: Tensor, table: ClickTable, place: int, answer: Answer) -> None:
        """One click more in each set, where the larger mistake is; none where none is seen."""
        looked = torch.randperm(len(self.pool), generator=self.generator)[:LOOKED_AT].to(wish.device)
        rows = self.pool[looked].expand(len(wish), -1)
        clicks = ClickTable(table.vertices[:, :place], table.positive[:, :place], table.present[:, :place])
        selected = answer(clicks, rows) > 0
        wanted = self.wanted[wish][:, looked]
        missed, wrong = wanted & ~selected, selected & ~wanted & self.known[wish][:, looked]
        positive = missed.sum(dim=1) >= wrong.sum(dim=1)
        mistaken = torch.where(positive[:, None], missed, wrong)
        table.vertices[:, place] = self.wishes.rows[self.pool[looked[self._any_of(mistaken)]]]
        table.positive[:, place], table.present[:, place] = positive, mistaken.any(dim=1)

    def _any_of(self, choices: Tensor) -> Tensor:
        """(B,) int64, one of the true ones of each row (B, N), any where there is none."""
        drawn = self._uniform(*choices.shape)
        return (drawn + choices).argmax(dim=1)

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator).to(self.pool.device)
