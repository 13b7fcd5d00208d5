"""All stages for one mesh with one command: views, feature field, click supervision, decoder, queries, and a picture.

Finished work is kept: after an interruption the same command goes on where it was.
"""

from __future__ import annotations

import utils.startup  # noqa: F401
from models.pipeline import PipelineSettings, run_pipeline, written
from utils.errors import run_cli
from utils.options import parse_settings
from utils.progress import Bars


def main(argv: list[str] | None = None) -> int:
    settings = parse_settings(PipelineSettings, __doc__, argv)
    seconds = run_pipeline(settings, Bars())
    print("\nstage                        seconds")
    for stage, value in [*seconds.items(), ("together", sum(seconds.values()))]:
        print(f"{stage:<28} {value:7.1f}")
    print("\nwritten:")
    for path in written(settings):
        print(f"  {path}")
    return 0


if __name__ == "__main__":
    run_cli(main)
