"""Train the embedded teacher vit_t on synthetic shapes (never on anything people labelled).

python scripts/train_vit_t.py train --data DIR --run DIR              # go on after an interruption: the same command
python scripts/train_vit_t.py train --run DIR --shapes 0 --workers 16 # new shapes in every step, for a GPU
python scripts/train_vit_t.py views --data DIR                        # optional: make the training's views beforehand
python scripts/train_vit_t.py measure --run DIR                       # 2D IoU on held-out shapes (and --labelled ones)
python scripts/train_vit_t.py export --run DIR                        # write SAM_repo/model_checkpoints/vit_t.pth
python scripts/train_vit_t.py score --data DIR                        # calibrate its predicted IoU; masks stay the same
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from SAM_repo.evaluation.measure import format_measure
from SAM_repo.teacher import CHECKPOINT_DIR, EMBEDDED
from SAM_repo.training.config import ScoreConfig, TrainConfig
from SAM_repo.training.score import calibrate
from SAM_repo.training.trainer import RunSettings, export, measured_run, train
from SAM_repo.training.views import write_views
from utils.errors import run_cli
from utils.options import Checked, Parser, add_options, option, positive_int, settings_from
from utils.progress import Bars

WEIGHTS = CHECKPOINT_DIR / EMBEDDED


@dataclass(frozen=True, kw_only=True)
class ViewsSettings(Checked):
    data: Path = option(help="folder of the views, about 2 MB a shape")
    shapes: int = option(TrainConfig.shapes, "number of shapes", type=positive_int)
    stored_views: int = option(TrainConfig.stored_views, "views of each shape", type=positive_int)
    leave_out: str = option("", "shape families not to make, separated by commas")


@dataclass(frozen=True, kw_only=True)
class FinishedSettings(Checked):
    run: Path = option(help="folder of the run")
    labelled: Path | None = option(None, "folder with off/ and seg/ of labelled meshes")
    clicks: int = option(400, "clicks measured on each set")
    output: Path = option(WEIGHTS, "where export writes")


@dataclass(frozen=True, kw_only=True)
class ScoreSettings(Checked):
    data: Path = option(help="folder of what the head learns from; an interrupted run goes on")
    weights: Path = option(WEIGHTS, "exported weights to start from")
    output: Path = option(WEIGHTS, "where the weights with the new head go")


COMMANDS: dict[str, tuple[type, type | None, str]] = {
    "views": (ViewsSettings, None, "rasterise labelled synthetic shapes"),
    "train": (RunSettings, TrainConfig, "train, or go on training"),
    "measure": (FinishedSettings, None, "2D IoU of a run's averaged weights"),
    "export": (FinishedSettings, None, "write the averaged weights in fp16"),
    "score": (ScoreSettings, ScoreConfig, "train only the head that predicts the IoU, on fresh synthetic shapes"),
}


def main(argv: list[str] | None = None) -> int:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (kind, config, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text)
        add_options(command, kind)
        for field in fields(config) if config else ():
            command.add_argument(f"--{field.name}", type=type(field.default), help=f"default {field.default}")
    args = parser.parse_args(argv)
    kind, config, _ = COMMANDS[args.command]
    settings, given = settings_from(args, kind), vars(args)
    changed: dict[str, Any] = (
        {f.name: given[f.name] for f in fields(config) if given[f.name] is not None} if config else {}
    )
    if isinstance(settings, ViewsSettings):
        left_out = TrainConfig(leave_out=settings.leave_out).left_out()
        write_views(settings.data, settings.shapes, settings.stored_views, left_out, Bars())
    elif isinstance(settings, RunSettings):
        train(settings, changed, on_progress=Bars())
    elif isinstance(settings, ScoreSettings):
        errors = calibrate(settings.weights, settings.data, ScoreConfig(**changed), settings.output, Bars())
        print(settings.output, "validation:", format_measure(errors))
    elif args.command == "export":
        export(settings.run, settings.output)
        print(settings.output)
    else:
        for name, result in measured_run(settings.run, settings.labelled, settings.clicks).items():
            print(name, format_measure(result))
    return 0


if __name__ == "__main__":
    run_cli(main)
