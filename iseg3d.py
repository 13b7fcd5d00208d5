"""iSeg3D: segments from the first click, without training on the mesh, by an embedding of points that knows primitives.

generate  training clouds of reshuffled primitives (iSeg3D paper, Sec. 3.1): our own, or those of ABC models
train     the embedding, or the heatmap network that it is compared with (Sec. 4.1)
test      answer clicks on any mesh, with the files that decoder.py writes (Sec. 3.2-3.4)
"""

from __future__ import annotations

import utils.startup  # noqa: F401
from models.iseg3d.dataset import GenerateSettings, generate
from models.iseg3d.query import AnswerSettings, answer
from models.iseg3d.training import TrainSettings, train
from utils.errors import run_cli
from utils.options import Parser, add_options, settings_from
from utils.progress import Bars

SHARED = ("seed", "device", "save_dir")  # of training and answers


def build_parser() -> Parser:
    parser = Parser(description=__doc__)
    parser.add_argument("--mode", choices=("generate", "train", "test"), default="test")
    add_options(parser, GenerateSettings)
    add_options(parser, TrainSettings, without=("data_dir", "shapes"))
    add_options(parser, AnswerSettings, without=SHARED)
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    if args.mode == "generate":
        generate(settings_from(args, GenerateSettings), Bars())
    elif args.mode == "train":
        train(settings_from(args, TrainSettings), Bars())
    else:
        answer(settings_from(args, AnswerSettings))
    return 0


if __name__ == "__main__":
    run_cli(main)
