"""docs/paper.md, written from the records of the figures: claim, picture, numbers, verdict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.figures.figure import TOGETHER, Figure, measures_of
from models.figures.workshop import decoders_now, prior_now
from utils.errors import UserError
from utils.evaluation.report import markdown
from utils.files import atomic_path, load_json, save_json

PAGE = Path(__file__).resolve().parents[2] / "docs" / "paper.md"
WIDEST, QUALITY = 1100, 82  # of the pictures of the page: pixels, and of JPEG
OPENING = """# The papers' figures and tables, and ours

Written by `python scripts/figures/make.py page` from the records of `make.py all`, which lie in `docs/figures/`; do not
edit it by hand. Every figure of *iSeg* (Lang, Xu, Decatur, Babu, Hanocka, 2024) and of *iSeg3D* that shows results has
a module in `scripts/figures/`:

```bash
python scripts/figures/make.py list          # what there is, and minutes of each alone
python scripts/figures/make.py 7             # one: figures/NAME.png, .pdf (vector text) and .json (the numbers)
python scripts/figures/make.py all page      # all of them, and this page; an interrupted run goes on
python scripts/figures/make.py all --preset paper --SAM vit_h --out published   # a GPU, hours for each mesh
```

The meshes are named, figure by figure, in `scripts/figures/meshes.json`; with `--mesh_dir DIR`, DIR/NAME.obj is taken
first (and DIR/NAME.seg, the part of each face, where a figure measures against parts), so that the paper's own meshes,
which are not published with it, can be put in. Here they are those of `meshes/`, and six of `utils/shapes/paper.py`
made to look like the paper's. **So our numbers are of other meshes than the paper's**, labelled by the program that
made them, and where the paper shows pictures only, the number is ours alone. Whether a claim "agrees" is decided by
thresholds that stand in each module.

"Group" is the larger region that a part belongs to (the arm of a hand): one click may mean either, so a single click
counts against the better one. Brackets are 95 % intervals, meshes resampled. The paper's Fig. 1 is of the kind of 2 and
6, Fig. 4 is a diagram, and so are iSeg3D's 1 and 2: these have no module.
"""


def write_page(folder: Path, figures: Sequence[Figure], page: Path = PAGE) -> Path:
    """Write the page from the records in a folder, and into `figures/` beside it these and their pictures, made small.

    Figures without a record are named as not made. Returns the page's path; UserError if there are no records, or only
    such of quick runs.
    """
    made = records_in(folder, figures)
    if not made:
        raise UserError(
            f"{folder} holds no figures (other than of --quick): make some first, as with: make.py all page"
        )
    beside = page.parent / "figures"
    for name, record in made.items():
        _small(folder / f"{name}.png", beside / f"{name}.jpg")
        save_json(beside / f"{name}.json", record)
    with atomic_path(page) as temporary:
        temporary.write_text(page_text(figures, made))
    return page


def records_in(folder: Path, figures: Sequence[Figure]) -> dict[str, dict[str, Any]]:
    """The records of a folder by the figures' names, those of quick runs left out."""
    paths = {figure.name: folder / f"{figure.name}.json" for figure in figures}
    found = {name: load_json(path, "record of a figure", dict) for name, path in paths.items() if path.is_file()}
    return {name: record for name, record in found.items() if not record["run"]["quick"]}


def page_text(figures: Sequence[Figure], made: dict[str, dict[str, Any]]) -> str:
    """The page in Markdown."""
    lines = [OPENING, *_setting(made), *_summary(figures, made), *_sections(figures, made)]
    return "\n".join(lines).rstrip() + "\n"


def _small(source: Path, target: Path) -> None:
    """The picture as a JPEG no wider than the page needs."""
    from PIL import Image

    if not source.is_file():
        raise UserError(f"no picture {source} beside its record: make the figure again with --overwrite 1")
    with Image.open(source) as held:
        image = held.convert("RGB")
    if image.width > WIDEST:
        image = image.resize((WIDEST, round(image.height * WIDEST / image.width)), Image.Resampling.LANCZOS)
    with atomic_path(target) as temporary:
        image.save(temporary, format="JPEG", quality=QUALITY, optimize=True)


def _setting(made: dict[str, dict[str, Any]]) -> list[str]:
    """How these records were made, and how long it takes."""
    runs = {(record["run"]["preset"], record["run"]["SAM"]) for record in made.values()}
    how = "; ".join(sorted(f"`--preset {preset} --SAM {sam}`" for preset, sam in runs))
    lines = [f"This page was made with {how}, of one seed. {TOGETHER}", ""]
    if old := [record["label"] for record in made.values() if record["run"].get("prior") != prior_now()]:
        which = "All figures" if len(old) == len(made) else ", ".join(old)
        lines += [f"**{which} here are of earlier weights of the prior**: `make.py all page` makes them again.", ""]
    if any(record["run"].get("decoders") != decoders_now() for record in made.values()):
        again = "`make.py all page` makes them again."
        lines += [f"**Decoders trained on a mesh (`--preset fast`) are here of an earlier version**: {again}", ""]
    return lines


def _summary(figures: Sequence[Figure], made: dict[str, dict[str, Any]]) -> list[str]:
    """One line a figure."""
    rows = []
    for figure in figures:
        record = made.get(figure.name)
        if record is None:
            rows.append([figure.label, figure.title, "", "", "not made for this page"])
            continue
        first = measures_of(record)[0]
        paper = "-" if first.paper is None else f"{first.paper:g}"
        anchor = f"[{record['label']}](#{figure.name.replace('_', '-')})"
        rows.append([anchor, f"{record['title']}: {first.what}", paper, first.text(), f"**{record['verdict']}**"])
    return [*markdown(["figure", "what", "paper", "ours", "claim"], rows), ""]


def _sections(figures: Sequence[Figure], made: dict[str, dict[str, Any]]) -> list[str]:
    lines: list[str] = []
    for figure in figures:
        record = made.get(figure.name)
        if record is None:
            continue
        rows = [
            [m.what, "-" if m.paper is None else f"{m.paper:g}", m.text(), "" if m.count is None else str(m.count)]
            for m in measures_of(record)
        ]
        lines += [
            f'<a id="{figure.name.replace("_", "-")}"></a>',
            "",
            f"## {record['label']}: {record['title']}",
            "",
            f"*The paper:* {record['claim']}",
            "",
            f"![{record['title']}](figures/{figure.name}.jpg)",
            "",
            *markdown(["measured", "paper", "ours", "of"], rows),
            "",
            f"**{record['verdict'].capitalize()}.** {record['why']}",
            "",
            *([f"*The picture:* {record['looks']}", ""] if record["looks"] else []),
        ]
    return lines
