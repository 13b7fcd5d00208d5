"""docs/paper.md, written from the records of the figures: claim, picture, numbers, verdict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.figures.figure import Figure, measures_of
from utils.errors import UserError
from utils.evaluation.report import markdown
from utils.files import atomic_path, load_json

PAGE = Path(__file__).resolve().parents[2] / "docs" / "paper.md"
WIDEST, QUALITY = 1100, 82  # of the pictures of the page: pixels, and of JPEG
OPENING = """# The papers' figures and tables, and ours

Written by `python scripts/figures/make.py page` from the records of `make.py all`; do not edit it by hand.

Every figure of *iSeg* (Lang, Xu, Decatur, Babu, Hanocka, 2024) and of *iSeg3D* that shows results has a module in `scripts/figures/`:

```bash
python scripts/figures/make.py list                     # what there is, minutes alone
python scripts/figures/make.py 7                        # one figure: figures/*.png, .pdf (vector text), .json (the numbers)
python scripts/figures/make.py all page                 # all of them, and this page
python scripts/figures/make.py all --preset paper --SAM vit_h   # with the published setting: a GPU, hours for each mesh
```

The meshes are named in `scripts/figures/meshes.json`; `--mesh_dir DIR` takes DIR/NAME.obj (and DIR/NAME.seg, the part of each face) first,
so that the paper's own meshes, which it does not publish, can be put in. Here they are those of `meshes/` and six of
`utils/shapes/paper.py`, made to look like the paper's; all are labelled by the program that made them. **So our numbers are of other meshes
than the paper's**, and where the paper shows pictures only, the number is ours alone.

"Group" is the larger region a part belongs to (a hand's arm): one click may mean either, so a single click counts against the better
one. Intervals in brackets are 95 %, meshes resampled. The paper's Fig. 1 is of the kind of 2 and 6, Fig. 4 is a diagram, and so are iSeg3D's
1 and 2: they have no module.
"""


def write_page(folder: Path, figures: Sequence[Figure], page: Path = PAGE) -> Path:
    """Write the page and its pictures (`figures/` beside it) from the records in a folder; returns its path.

    Figures without a record are named as not made. UserError if there is none, or only such of quick runs.
    """
    records = {f.name: _record(folder / f"{f.name}.json") for f in figures}
    made = {name: record for name, record in records.items() if record is not None and not record["run"]["quick"]}
    if not made:
        raise UserError(f"{folder} holds no figures (other than of --quick): make some first, as with: make.py all page")
    for name in made:
        _small(folder / f"{name}.png", page.parent / "figures" / f"{name}.jpg")
    text = "\n".join([OPENING, *_setting(made), *_summary(figures, made), *_sections(figures, made)])
    with atomic_path(page) as temporary:
        temporary.write_text(text.rstrip() + "\n")
    return page


def _record(path: Path) -> dict[str, Any] | None:
    return load_json(path, "record of a figure", dict) if path.is_file() else None


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
    """How these records were made."""
    runs = {(record["run"]["preset"], record["run"]["SAM"]) for record in made.values()}
    minutes = sum(record["seconds"] for record in made.values()) / 60
    how = "; ".join(sorted(f"`--preset {preset} --SAM {sam}`" for preset, sam in runs))
    return [f"This page was made with {how}; the figures took {minutes:.0f} minutes together.", ""]


def _summary(figures: Sequence[Figure], made: dict[str, dict[str, Any]]) -> list[str]:
    """One line a figure."""
    rows = []
    for figure in figures:
        record = made.get(figure.name)
        if record is None:
            rows.append([figure.label, figure.title, "", "", "not made"])
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
