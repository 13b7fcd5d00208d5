"""How well a teacher segments parts of human-labelled meshes from one click in one view, beside classical methods and
other people.

  python scripts/evaluate_teacher.py --psb_dir DIR --SAM vit_t --out teacher.json --overlays DIR

Protocol and results: docs/teacher.md. Finished meshes are kept beside the output, so an interrupted run goes on.
"""

from __future__ import annotations

import sys

from SAM_repo.evaluation.benchmark import BenchmarkSettings, evaluate_teacher
from SAM_repo.evaluation.report import table
from utils.errors import run_cli
from utils.options import parse_settings
from utils.progress import Bars


def main(argv: list[str] | None = None) -> int:
    settings = parse_settings(BenchmarkSettings, __doc__, argv)
    outcome = evaluate_teacher(settings, Bars())
    for shape_id, reason in outcome.report["skipped"].items():
        print(f"skipped {shape_id}: {reason}", file=sys.stderr)
    print(table(outcome.report))
    for path in outcome.drawn:
        print(f"drawn: {path}")
    print(f"results: {settings.out}")
    return 0


if __name__ == "__main__":
    run_cli(main)
