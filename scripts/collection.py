"""Every mesh of a collection: parts, answers or caches, on all cores of this machine or of a Ray cluster.

Rows are Parquet files in OUT, with summary.html. Stopped at any moment, the same command goes on. Needs the packages of
bash install_environment.sh --collection; docs/scale.md says what comes out and what it costs.
"""

from __future__ import annotations

import sys

from models.collection.run import run_collection
from models.collection.settings import CollectionSettings
from models.collection.summary import PAGE
from utils.errors import run_cli
from utils.options import parse_settings
from utils.progress import Bars, Lines


def main(argv: list[str] | None = None) -> int:
    settings = parse_settings(CollectionSettings, __doc__, argv)
    outcome = run_collection(settings, Bars() if sys.stderr.isatty() else Lines())
    failed = f", {outcome.failed:,} of them without an answer" if outcome.failed else ""
    print(f"{outcome.total:,} rows; {outcome.made:,} made now{failed}")
    print(f"written: {settings.out / PAGE}")
    return 0


if __name__ == "__main__":
    run_cli(main)
