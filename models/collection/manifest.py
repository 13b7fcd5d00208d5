"""Which meshes a collection holds: a folder, a glob or a manifest (CSV, JSON lines, Parquet), here or by fsspec."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from utils.errors import UserError
from utils.geometry.mesh import FORMATS

MANIFESTS = (".csv", ".jsonl", ".ndjson", ".parquet")
GLOB = "*?["


class Entry(NamedTuple):
    """One line of work: an id, where the mesh is, and clicks as on the command line ("5141 -10795"), or none."""

    id: str
    path: str
    clicks: str = ""


def read_entries(source: str, clicks: bool = False) -> list[Entry]:
    """The entries of a folder, a glob or a manifest, by id; clicks: whether a manifest must have them.

    Ids are those of the manifest, else the paths below the folder. Raises UserError, in one line, for what is not there
    or cannot be read, for missing columns, for ids that are there twice, and for nothing to do.
    """
    fs, place = _file_system(source)
    try:
        if PurePosixPath(place).suffix.lower() in MANIFESTS and not any(sign in place for sign in GLOB):
            found = _of_manifest(source, fs, place, clicks)
        else:
            if clicks:
                raise UserError(f"{source} holds no clicks: give a manifest with the columns path and clicks")
            found = _of_folder(source, fs, place)
        entries = sorted(found)
    except OSError as error:
        reason = error.strerror or next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{source} cannot be read: {reason}; correct --input") from error
    if not entries:
        raise UserError(f"{source} holds no mesh; give a folder or a glob of {', '.join(FORMATS)}, or a manifest")
    for first, second in pairwise(entries):
        if first.id == second.id:
            raise UserError(f"{source}: the id '{first.id}' is there twice; give every line an id of its own")
    return entries


def require_own_names(entries: Iterable[Entry]) -> None:
    """UserError where two files have one name: caches are kept under it."""
    paths: dict[str, str] = {}
    for entry in entries:
        first = paths.setdefault(PurePosixPath(entry.path).stem, entry.path)
        if first != entry.path:
            raise UserError(f"{first} and {entry.path} would have one cache; give the files different names")


@contextmanager
def fetched(path: str) -> Iterator[Path]:
    """A local file of the mesh at a path; one that lies elsewhere is copied for as long as it is needed."""
    if "://" not in path:
        yield Path(path)
        return
    fs, place = _file_system(path)
    with TemporaryDirectory(prefix="iseg-") as folder:
        local = Path(folder) / PurePosixPath(place).name
        try:
            fs.get_file(place, str(local))
        except FileNotFoundError as error:
            raise UserError(f"no mesh at {path}") from error
        yield local


def _file_system(source: str) -> tuple[Any, str]:
    """What reads a path, and the path as that knows it."""
    from fsspec.core import url_to_fs

    try:
        return url_to_fs(source)
    except (ImportError, ValueError) as error:  # a protocol that is unknown, or whose package is missing
        raise UserError(f"{source} cannot be read here: {str(error).splitlines()[0]}") from error


def _of_folder(source: str, fs: Any, place: str) -> Iterator[Entry]:
    """Every mesh below a folder, or that a glob matches."""
    if any(sign in place for sign in GLOB):
        parts = PurePosixPath(place).parts
        stop = next(number for number, part in enumerate(parts) if any(sign in part for sign in GLOB))
        root, paths = str(PurePosixPath(*parts[:stop])), fs.glob(place)
    elif fs.isdir(place):
        root, paths = place, fs.find(place)
    else:
        raise UserError(f"{source} is no folder, glob or manifest ({', '.join(MANIFESTS)}); correct --input")
    for path in paths:
        if PurePosixPath(path).suffix.lower() in FORMATS:
            below = PurePosixPath(path).relative_to(root) if path.startswith(root) else PurePosixPath(path)
            yield Entry(str(below), _address(fs, path))


def _address(fs: Any, path: str) -> str:
    """A path as any machine can open it."""
    return path if "file" in _protocols(fs) else fs.unstrip_protocol(path)


def _protocols(fs: Any) -> Sequence[str]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol


# --- manifests -------------------------------------------------------------------------------------


def _of_manifest(source: str, fs: Any, place: str, clicks: bool) -> Iterator[Entry]:
    wanted = ("path", "clicks") if clicks else ("path",)
    root = str(PurePosixPath(place).parent)
    for number, line in enumerate(_lines(source, fs, place, wanted), start=1):
        path = str(line.get("path") or "").strip()
        if not path:
            raise UserError(f"{source}: line {number} has no path")
        if "://" not in path and not PurePosixPath(path).is_absolute():
            path = _address(fs, str(PurePosixPath(root) / path))
        given = line.get("id")
        name = str(line["path"] if given is None or given == "" else given)
        yield Entry(name, path, _clicks(line.get("clicks")))


def _clicks(value: Any) -> str:
    """As on the command line; a list of ids is one set of clicks."""
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value or "").replace(",", " ").strip()


def _lines(source: str, fs: Any, place: str, wanted: Sequence[str]) -> Iterable[dict[str, Any]]:
    """The lines of a manifest, which have the wanted columns."""
    kind = PurePosixPath(place).suffix.lower()
    try:
        if kind == ".parquet":
            from models.collection.rows import read_columns

            with fs.open(place, "rb") as file:
                return read_columns(source, file, wanted, ("id", "path", "clicks"))
        text = fs.cat_file(place).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{source} is no text in UTF-8; write the manifest again") from error
    if kind == ".csv":
        reader = csv.DictReader(io.StringIO(text))
        require_columns(source, reader.fieldnames or (), wanted)
        return reader
    return _json_lines(source, text, wanted)


def _json_lines(source: str, text: str, wanted: Sequence[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            held = json.loads(line)
        except ValueError as error:
            raise UserError(f"{source}: line {number} is not JSON: {error}") from error
        if not isinstance(held, dict):
            raise UserError(f"{source}: line {number} is no JSON object")
        require_columns(source, held, wanted, f"line {number} has ")
        yield held


def require_columns(source: str, there: Iterable[str], wanted: Sequence[str], where: str = "it has ") -> None:
    """UserError that names the columns which a manifest lacks."""
    there = list(there)
    missing = [name for name in wanted if name not in there]
    if missing:
        has = ", ".join(map(str, there)) or "none"
        raise UserError(f"{source} lacks the column {' and '.join(missing)} ({where}{has[:120]})")
