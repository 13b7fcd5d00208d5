"""The ABC dataset: CAD models as meshes whose faces are divided into the surfaces they were made from.

S. Koch et al.: ABC: A Big CAD Model Dataset for Geometric Deep Learning, CVPR 2019;
https://deep-geometry.github.io/abc-dataset

A model is an OBJ `00000050_80d9..._trimesh_000.obj` and a description `00000050_80d9..._features_000.yml` of its
surfaces; `face_indices` of a surface count the OBJ's faces from 0 (deep-geometry/abc-dataset#19). Vertices are read
from the faces, as the authors advise, because `vert_indices` is wrong in some models (#7). Written after the project's
page and repository; the dataset itself was not at hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import yaml

from models.points.surface import Primitive
from utils.errors import UserError
from utils.geometry.mesh import Mesh, load_mesh

FILE_NAME = re.compile(r"(?P<model>\d{8}_[0-9a-f]+)_(?P<content>trimesh|features)_(?P<variant>\d{3})\.(?:obj|yml)")
SUFFIXES = {"trimesh": ".obj", "features": ".yml"}
WORDS = {"trimesh": "OBJ", "features": "features"}
LISTED = 5  # names in a summary
Surface = tuple[str, np.ndarray]  # type and face indices (F,) int64
Event = TypeVar("Event", bound=yaml.Event)


# --- many models --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Repository:
    """The models of a folder.

    models    name (`00000050_80d9..._000`) -> patches, in the order of the names
    left_out  name -> why a model is not there
    """

    models: dict[str, list[Primitive]]
    left_out: dict[str, str]

    @property
    def patches(self) -> list[Primitive]:
        """Those of all models."""
        return [patch for patches in self.models.values() for patch in patches]

    def summary(self) -> str:
        """One line: how many models there are, how many are left out, and which (the first few)."""
        text = f"{len(self.models)} models"
        if self.left_out:
            named = [f"{name} ({reason})" for name, reason in list(self.left_out.items())[:LISTED]]
            more = [f"and {len(self.left_out) - LISTED} more"] if len(self.left_out) > LISTED else []
            text += f", {len(self.left_out)} left out: " + ", ".join(named + more)
        return text


def read_repository(folder: str | Path) -> Repository:
    """The models under a folder: `obj/` and `feat/` with a numbered folder for each model, or all files in one folder.

    A model's two files are found by the number, the hash and the variant in their names. UserError if there is none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"no folder {folder}; give the one that holds the dataset's obj and feat files")
    found: dict[str, dict[str, list[Path]]] = {}
    for path in sorted(folder.rglob("*")):
        if (match := FILE_NAME.fullmatch(path.name)) and path.suffix == SUFFIXES[match["content"]]:
            contents = found.setdefault(f"{match['model']}_{match['variant']}", {})
            contents.setdefault(match["content"], []).append(path)
    if not found:
        raise UserError(
            f"{folder} has no files named like 00000050_80d90bfdd2e74e709956122a_trimesh_000.obj and "
            "..._features_000.yml; give the folder that the dataset's obj and feat archives were unpacked to"
        )
    models: dict[str, list[Primitive]] = {}
    left_out: dict[str, str] = {}
    for name, contents in sorted(found.items()):
        missing = [word for content, word in WORDS.items() if content not in contents]
        twice = [paths[0].name for paths in contents.values() if len(paths) > 1]
        try:
            if missing or twice:
                raise UserError(f"no {missing[0]} file" if missing else f"more than one {twice[0]}")
            models[name] = read_model(contents["trimesh"][0], contents["features"][0])
        except UserError as error:
            left_out[name] = str(error)
    return Repository(models, left_out)


# --- one model ----------------------------------------------------------------------------------


def read_model(obj: str | Path, yml: str | Path) -> list[Primitive]:
    """One patch for each surface of a model, in the order of the description; a surface without faces gives none.

    UserError says which file cannot be used and why: also if the surfaces do not divide the OBJ's faces exactly, since
    the two files then do not belong together.
    """
    surfaces = _read_surfaces(Path(yml))
    mesh = load_mesh(obj)
    owner = _owners(surfaces, mesh.num_polygons, Path(yml))[mesh.face_polygon]
    return [_patch(kind, mesh, owner == index) for index, (kind, faces) in enumerate(surfaces) if len(faces)]


def _patch(kind: str, mesh: Mesh, mine: np.ndarray) -> Primitive:
    used, corners = np.unique(mesh.faces[mine], return_inverse=True)
    return Primitive(kind, mesh.vertices[used], corners.reshape(-1, 3).astype(np.int64))


def _owners(surfaces: list[Surface], count: int, path: Path) -> np.ndarray:
    """(count,) int64 surface of each face of the OBJ."""
    remedy = "take both files from the same version of the dataset"
    owner = np.full(count, -1, dtype=np.int64)
    for index, (_, faces) in enumerate(surfaces):
        wrong = faces[(faces < 0) | (faces >= count)]
        if len(wrong):
            raise UserError(
                f"{path}: surface {index} has face {wrong[0]}, but the OBJ has the faces 0 to {count - 1}; {remedy}"
            )
        if len(np.unique(faces)) < len(faces) or (owner[faces] >= 0).any():
            raise UserError(f"{path}: surface {index} has a face that is listed twice; download the file again")
        owner[faces] = index
    if (owner < 0).any():
        raise UserError(f"{path}: the surfaces have {(owner >= 0).sum()} of the OBJ's {count} faces; {remedy}")
    return owner


# --- the description ----------------------------------------------------------------------------


class _Unexpected(Exception):
    """The YAML is well formed, but not a description of surfaces."""


def _read_surfaces(path: Path) -> list[Surface]:
    """Type and face indices of each surface.

    The files are large and mostly parameters of vertices: walking the parser's events and building only what is needed
    takes a quarter of the time of the safe loader or of `yaml.compose`, makes no objects, and survives deep nesting.
    """
    if not path.is_file():
        raise UserError(f"no features file at {path}; give the path of the model's YAML file")
    try:
        with open(path, "rb") as file:
            surfaces = _parse_surfaces(yaml.parse(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except (yaml.YAMLError, _Unexpected, ValueError, OverflowError) as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        where = f" in line {mark.line + 1}" if mark else ""
        raise UserError(f"{path} is not a readable features file: {reason}{where}; download it again") from error
    if not surfaces:
        raise UserError(f"{path} describes no surfaces; is it a features file of the dataset?")
    return surfaces


def _parse_surfaces(events: Iterator[yaml.Event]) -> list[Surface]:
    surfaces: list[Surface] = []
    while not isinstance(event := next(events, None), yaml.MappingStartEvent):
        if not isinstance(event, (yaml.StreamStartEvent, yaml.DocumentStartEvent)):
            raise _Unexpected("it does not begin with a mapping")
    for _, event in _entries(events, ("surfaces",)):
        for item in _items(event, events, "a list of surfaces"):
            _expect(item, yaml.MappingStartEvent, "the entries of a surface")
            kind = faces = None
            for key, value in _entries(events, ("type", "face_indices")):
                if key == "type":
                    kind = _text(value, "a word as type")
                else:
                    indices = _items(value, events, "a list of face_indices")
                    faces = [int(_text(index, "numbers as face_indices")) for index in indices]
            if not kind or faces is None:
                raise _Unexpected(f"surface {len(surfaces)} has no {'face_indices' if kind else 'type'}")
            surfaces.append((kind, np.array(faces, dtype=np.int64)))
    for _ in events:  # what is malformed behind it is an error, too
        pass
    return surfaces


def _entries(events: Iterator[yaml.Event], wanted: Sequence[str]) -> Iterator[tuple[str, yaml.Event]]:
    """The wanted keys of the mapping that has begun, each with its value's first event; the caller takes the others."""
    while not isinstance(key := next(events), yaml.MappingEndEvent):
        name, event, depth = _text(key, "a name"), next(events), 0
        if name in wanted:
            yield name, event
            continue
        while (
            depth := depth + isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        ):
            event = next(events)


def _items(event: yaml.Event, events: Iterator[yaml.Event], what: str) -> Iterator[yaml.Event]:
    """The first event of each item of a list; the caller takes the others."""
    _expect(event, yaml.SequenceStartEvent, what)
    while not isinstance(event := next(events), yaml.SequenceEndEvent):
        yield event


def _text(event: yaml.Event, what: str) -> str:
    return _expect(event, yaml.ScalarEvent, what).value


def _expect(event: yaml.Event, kind: type[Event], what: str) -> Event:
    if not isinstance(event, kind):
        raise _Unexpected(f"expected {what} in line {event.start_mark.line + 1}")
    return event
