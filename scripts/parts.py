"""The whole mesh in parts, without a click: labels, named parts, a picture, and the tree of nested parts.

docs/parts.md says how they come about and how good they are.
"""

from __future__ import annotations

import utils.startup  # noqa: F401
from models.proposals import ProposalSettings, propose
from utils.errors import run_cli
from utils.options import parse_settings


def main(argv: list[str] | None = None) -> int:
    count, written = propose(parse_settings(ProposalSettings, __doc__, argv))
    print(f"{count} part{'s' * (count != 1)}")
    for path in written:
        print(f"written: {path}")
    return 0


if __name__ == "__main__":
    run_cli(main)
