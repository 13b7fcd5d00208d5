"""The settings of vit_t's training; imports nothing of the project."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainConfig:
    """Everything that shapes a run besides the model's sizes; with a seed it fixes every step."""

    steps: int = 4000
    seed: int = 0
    shapes: int = 4000  # in the pool that steps draw from; 0: new ones in every step
    stored_views: int = 8  # of each shape of the pool
    leave_out: str = ""  # shape families never shown, separated by commas
    small_size: int = 112  # images start at this side ...
    small_until: float = 0.5  # ... until this fraction of the run
    small_shapes: int = 12
    large_shapes: int = 6
    views: int = 2  # of one shape, in one batch
    prompts: int = 6  # of one image
    corrected: int = 3  # of them prompted a second time
    lr: float = 1.5e-3
    warmup: int = 100
    weight_decay: float = 0.03
    balance_until: float = 0.2  # fraction of the run in which both classes of a mask weigh the same
    ema: float = 0.998
    sync_every: int = 4  # steps between averagings of the weights of several processes
    second_weight: float = 0.5  # of the second round's losses against the first's
    affinity_weight: float = 0.3
    auxiliary_weight: float = 0.3  # of part boundaries and normals
    wanted_group: float = 0.65  # share of the second rounds that aim at the group rather than the part
    shown_mask: float = 0.7  # share of the steps whose second round sees the mask before
    third_click: float = 0.2  # share of the steps with a third click
    largest_gradient: float = 5.0  # norm to which gradients are clipped

    def left_out(self) -> tuple[str, ...]:
        return tuple(name.strip() for name in self.leave_out.split(",") if name.strip())


@dataclass(frozen=True)
class ScoreConfig:
    """Everything that shapes the calibration besides the weights it starts from."""

    seed: int = 0
    first_shape: int = 1_000_000_000  # seed of the first shape: neither trained nor measured on
    shapes: int = 2000
    views: int = 2  # of a shape
    prompts: int = 8  # of a view
    published: float = 0.7  # share of the shapes rendered exactly as the pipeline renders
    coarse: float = 0.65  # share of the corrected prompts that want the group rather than the part
    previous: float = 0.7  # share of the corrected views that are given the mask before
    validation: float = 0.1  # share of the shapes that choose the epoch
    epochs: int = 30
    batch: int = 1024
    lr: float = 1e-3
    weight_decay: float = 0.05
    one_click: float = 2.0  # weight of answers to a single click against those to more clicks
