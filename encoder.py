"""Encoder stage: render views of a mesh, embed them with the teacher, distil the feature field (paper Sec. 3.1)."""

from __future__ import annotations

import utils.startup  # noqa: F401
from models.iseg.encoder_stage import EncoderSettings, distill
from utils.errors import run_cli
from utils.options import parse_settings
from utils.progress import Bars


def main(argv: list[str] | None = None) -> int:
    distill(parse_settings(EncoderSettings, __doc__, argv), Bars())
    return 0


if __name__ == "__main__":
    run_cli(main)
