"""Figures and tables of both papers: `make.py 7`, `make.py table1 iseg3d:6`, `make.py all page`, `make.py list`.

Writes NAME.png, NAME.pdf (vector text) and NAME.json (the numbers, beside the paper's) for each; `page` writes
docs/paper.md from what is there. Meshes made ready are kept and shared; an interrupted run goes on.
"""

from __future__ import annotations

from pathlib import Path

from models.figures.run import load_figures, make_figures
from models.figures.workshop import FigureSettings
from utils.errors import run_cli
from utils.options import Parser, add_options, settings_from
from utils.progress import Bars


def main(argv: list[str] | None = None) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("figures", nargs="+", metavar="FIGURE", help="number, table1, iseg3d:6, all, list or page")
    add_options(parser, FigureSettings)
    args = parser.parse_args(argv)
    make_figures(args.figures, settings_from(args, FigureSettings), load_figures(Path(__file__).parent), Bars())
    return 0


if __name__ == "__main__":
    run_cli(main)
