"""How fast a driver of scripts/collection.py is: tasks of a measured time distribution with no work in them.

docs/scale.md has the figures of a million rows and 1,000 virtual workers.
"""

from __future__ import annotations

import sys
from dataclasses import asdict

from models.collection.virtual import VirtualSettings, simulate
from utils.errors import run_cli
from utils.files import json_line
from utils.options import parse_settings
from utils.progress import Bars, Lines


def main(argv: list[str] | None = None) -> int:
    settings = parse_settings(VirtualSettings, __doc__, argv)
    print(json_line(asdict(simulate(settings, Bars() if sys.stderr.isatty() else Lines()))))
    return 0


if __name__ == "__main__":
    run_cli(main)
