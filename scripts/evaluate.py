"""Click-based segmentation measured on meshes with parts marked by people, every method in one run.

Protocol: docs/benchmark.md; with --task parts whole partitions are measured instead: docs/parts.md. Finished (mesh,
method) pairs are kept beside the output, so an interrupted run goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from models.methods import NAMES, TRAINING_FREE, MethodSettings, build_method
from models.partitioners import NAMES as PARTITIONERS
from models.partitioners import build_partitioner
from utils.errors import run_cli
from utils.evaluation.partition_runs import evaluate_partitions, partition_table
from utils.evaluation.report import save_plots, save_results, table
from utils.evaluation.runs import EvaluationSettings, evaluate
from utils.options import option, parse_settings
from utils.progress import Bars


@dataclass(frozen=True, kw_only=True)
class Settings(MethodSettings, EvaluationSettings):
    methods: tuple[str, ...] = option(
        TRAINING_FREE, f"of {', '.join(NAMES)}", choices=NAMES, nargs="+", metavar="NAME", group="methods"
    )
    task: str = option("clicks", "parts selected by clicks, or the whole mesh in parts", choices=("clicks", "parts"))
    partitioners: tuple[str, ...] = option(
        PARTITIONERS, f"with --task parts, of {', '.join(PARTITIONERS)}", choices=PARTITIONERS, metavar="NAME"
    )

    def __post_init__(self) -> None:
        super().__post_init__()


def main(argv: list[str] | None = None) -> int:
    settings = parse_settings(Settings, __doc__, argv)
    if settings.work_dir is None:
        settings = replace(settings, work_dir=settings.out.with_suffix(".work"))
    if settings.task == "parts":
        divided = evaluate_partitions(
            settings, settings.partitioners, partial(build_partitioner, settings.work_dir), Bars()
        )
        print(partition_table(divided))
        print(f"results: {settings.out}")
        return 0
    results = save_results(settings, evaluate(settings, settings.methods, partial(build_method, settings), Bars()))
    print(table(results))
    print(f"results: {settings.out}")
    for picture in save_plots(settings.out, results) if settings.plot else ():
        print(f"picture: {picture}")
    return 0


if __name__ == "__main__":
    run_cli(main)
