"""The evaluation of the iSeg3D paper (Sec. 4): a greedy annotator on point clouds, against FPFH and a heatmap network.

PartNet is not part of this repository; the same protocol runs on human-labelled meshes of the Princeton benchmark, on
our own labelled meshes, on held-out synthetic clouds, and on PartNet's files where a person has them. Finished (shape,
method) pairs are kept beside the output, so an interrupted run goes on.
"""

from __future__ import annotations

from models.iseg3d.evaluation import EvaluationSettings, Setting, evaluate
from utils.errors import run_cli
from utils.options import Parser, add_options, settings_from
from utils.progress import Bars


def main(argv: list[str] | None = None) -> int:
    parser = Parser(description=__doc__)
    add_options(parser, EvaluationSettings)
    add_options(parser, Setting)
    args = parser.parse_args(argv)
    evaluate(settings_from(args, EvaluationSettings), settings_from(args, Setting), Bars())
    return 0


if __name__ == "__main__":
    run_cli(main)
