"""Tables (CSV) that a run appends to."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from utils.files import atomic_path


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a table, none if it does not exist yet."""
    if not path.is_file():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def append_row(path: Path, row: dict[str, Any]) -> None:
    """Add a row, to a new table after a line of names."""
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def drop_rows_after(path: Path, step: int) -> None:
    """Remove what an interrupted run logged after its last checkpoint: those steps come again. At step 0 the table."""
    if step == 0:
        path.unlink(missing_ok=True)
    if not path.is_file():
        return
    with open(path, newline="") as file:
        head, *rows = file.read().splitlines() or [""]
    kept = [row for row in rows if row.split(",")[0].isdigit() and int(row.split(",")[0]) <= step]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join([head, *kept]) + "\n" if head else "")
