"""Click supervision stage: prompt the teacher with clicks on sampled vertices in many views (paper Sec. 3.3)."""

from __future__ import annotations

import utils.startup  # noqa: F401
from models.iseg.click_stage import SupervisionSettings, make_supervision
from utils.errors import run_cli
from utils.options import parse_settings
from utils.progress import Bars


def main(argv: list[str] | None = None) -> int:
    make_supervision(parse_settings(SupervisionSettings, __doc__, argv), Bars())
    return 0


if __name__ == "__main__":
    run_cli(main)
