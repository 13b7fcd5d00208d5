"""Trains the prior decoder on synthetic shapes with known parts: make the data, train, measure, export; then its judge,
and what proposes parts.

data         shapes and their lifted embedding, in shards; resumable, several may run at once with different --shards
train        interactive attention and graph layers, from the shards that are there; picks up new ones; resumable
measure      IoU after each click on held-out synthetic shapes, clicks innermost and anywhere
export       the weights that `models.open` loads
corrections  what a simulated person's corrections may mean, with the IoU of each reading; resumable, as data
judge        trained on them, chooses among these readings
pairs        pieces that may belong together and parts that may match, with what they are; resumable, as data
proposals    trained on them, the networks that join pieces and find parts that match
"""

from __future__ import annotations

from models.prior.data import DataSettings, make_data
from models.prior.judge_training import CorrectionSettings, JudgeSettings, make_corrections, train_judge
from models.prior.measuring import ExportSettings, MeasureSettings, export, measure
from models.prior.proposal_training import ProposalTrainingSettings, make_pairs, train_proposals
from models.prior.rounds import RoundSettings
from models.prior.training import TrainSettings, train
from utils.errors import run_cli
from utils.options import Parser, add_options, settings_from
from utils.progress import Bars

ACTIONS = {
    "data": (DataSettings, lambda settings: make_data(settings, Bars())),
    "train": (TrainSettings, lambda settings: train(settings, Bars())),
    "measure": (MeasureSettings, measure),
    "export": (ExportSettings, export),
    "corrections": (CorrectionSettings, lambda settings: make_corrections(settings, Bars())),
    "judge": (JudgeSettings, lambda settings: train_judge(settings, Bars())),
    "pairs": (RoundSettings, lambda settings: make_pairs(settings, Bars())),
    "proposals": (ProposalTrainingSettings, lambda settings: train_proposals(settings, Bars())),
}


def main(argv: list[str] | None = None) -> int:
    parser = Parser(description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, (settings, _) in ACTIONS.items():
        add_options(actions.add_parser(name, help=settings.__doc__), settings)
    args = parser.parse_args(argv)
    settings, act = ACTIONS[args.action]
    act(settings_from(args, settings))
    return 0


if __name__ == "__main__":
    run_cli(main)
