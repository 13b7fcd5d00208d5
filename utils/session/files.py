"""Session files and click logs: JSON, written whole or not at all, read with distrust."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from utils.errors import UserError
from utils.files import digest, load_json, save_json
from utils.geometry.mesh import Mesh
from utils.session.answers import Answers
from utils.session.edits import check_edit
from utils.session.session import Session
from utils.session.state import (
    MAX_PARTS,
    TOUCHES,
    Click,
    FaceSet,
    Lesson,
    Part,
    ShapeEdit,
    State,
    Touch,
    clean_name,
    frozen_labels,
)
from utils.session.surface import Surface

FORMAT = "iseg session"
VERSION = 1
LOG_FORMAT = "iseg click log"


@dataclass(frozen=True)
class SegmenterNote:
    """Which segmenter answered, as a session file records it.

    kind        "prior", "trained" or "instant"
    digest      of what determines its answers
    checkpoint, features  files of a trained one (an instant one: its weights; a refined prior: no features), relative to nothing in particular; for the command
    precision   of a trained one
    """

    kind: str
    digest: str
    checkpoint: str = ""
    features: str = ""
    precision: str = "exact"

    def to_json(self) -> dict[str, str]:
        return {
            "kind": self.kind,
            "digest": self.digest,
            "checkpoint": self.checkpoint,
            "features": self.features,
            "precision": self.precision,
        }


# --- writing --------------------------------------------------------------------------------------


def save_session(path: str | Path, session: Session, segmenter: SegmenterNote) -> None:
    """Write everything that is needed to go on: clicks, corrections, parts, edits, settings, the log, and digests."""
    save_json(path, session_to_json(session, segmenter))


def session_to_json(session: Session, segmenter: SegmenterNote) -> dict[str, Any]:
    state = session.state
    return {
        "format": FORMAT,
        "version": VERSION,
        "mesh": _mesh_to_json(session.mesh),
        "segmenter": segmenter.to_json(),
        "settings": {
            "granularity": state.granularity,
            "threshold": state.threshold,
            "exclusive": state.exclusive,
            "only_free": state.only_free,
        },
        "clicks": [list(click) for click in state.clicks],
        "touches": [[touch.kind, touch.faces.to_text() if touch.faces else None] for touch in state.touches],
        "parts": [
            {
                "id": part.id,
                "name": part.name,
                "color": list(part.color),
                "clicks": [list(click) for click in part.clicks],
                "visible": part.visible,
                "locked": part.locked,
                "faces": FaceSet(state.labels == part.id).to_text(),
            }
            for part in state.parts
        ],
        "lessons": [
            {
                "clicks": [list(click) for click in lesson.clicks],
                "others": [[list(click) for click in other] for other in lesson.others],
            }
            for lesson in state.lessons
        ],
        "edits": [{"kind": edit.kind, "faces": edit.faces.to_text(), "amount": edit.amount} for edit in state.edits],
        "next_part": session.next_part,
        "log": session.log,
        "result": result_digest(session),
    }


def save_log(path: str | Path, session: Session, segmenter: SegmenterNote) -> None:
    """Write the log of operations, which `replay_log` repeats, and the command that answers the current clicks."""
    save_json(
        path,
        {
            "format": LOG_FORMAT,
            "version": VERSION,
            "mesh": _mesh_to_json(session.mesh),
            "segmenter": segmenter.to_json(),
            "decoder_command": decoder_command(session, segmenter),
            "log": session.log,
            "result": result_digest(session),
        },
    )


def decoder_command(session: Session, segmenter: SegmenterNote) -> str:
    """The command that answers the current clicks, to the same probabilities: decoder.py with a decoder trained on the mesh,
    iseg3d.py for instant answers. Empty where there is none, as after instant answers have learnt."""
    state, selection = session.state, session.selection
    if selection.probability is None:
        return ""
    clicks = state.query()
    ids = [
        f"{'' if positive else '-'}{vertex}"
        for vertex, positive in zip(clicks.vertices.tolist(), clicks.positive.tolist())
    ]
    selecting = ["--hard", "1", "--threshold", repr(selection.threshold), "--select_vertices", *ids]
    if segmenter.kind == "instant" and not state.lessons:
        return shlex.join(
            [
                "python",
                "iseg3d.py",
                "--mode",
                "test",
                "--obj_path",
                str(session.mesh.path),
                "--weights",
                segmenter.checkpoint,
                "--granularity",
                repr(state.granularity),
                *selecting,
            ]
        )
    if segmenter.kind == "trained":
        checkpoint = Path(segmenter.checkpoint)
        reading = (
            ["--encoder_f_path", segmenter.features]
            if segmenter.features
            else ["--granularity", repr(state.granularity)]
        )  # a refined prior
        return shlex.join(
            [
                "python",
                "decoder.py",
                "--mode",
                "test",
                "--obj_path",
                str(session.mesh.path),
                *reading,
                "--save_dir",
                str(checkpoint.parent),
                "--model_name",
                checkpoint.name,
                "--precision",
                segmenter.precision,
                *selecting,
            ]
        )
    return ""


def result_digest(session: Session) -> str:
    """Identifies all that a session led to: probabilities, selected faces, parts and the edited shape."""
    selection, shape, state = session.selection, session.shape, session.state
    probability = np.zeros(0, dtype=np.float32) if selection.probability is None else selection.probability
    names = repr([(part.id, part.name, part.visible, part.locked) for part in state.parts])
    return digest(probability, selection.faces, state.labels, names, shape.vertices, shape.alive)


def _mesh_to_json(mesh: Mesh) -> dict[str, Any]:
    return {
        "name": mesh.path.name if mesh.path else "",
        "digest": mesh.digest,
        "vertices": mesh.num_vertices,
        "faces": mesh.num_faces,
    }


# --- reading --------------------------------------------------------------------------------------


def load_session(path: str | Path, mesh: Mesh, answers: Answers, surface: Surface | None = None) -> Session:
    """Reopen a session file on its mesh; UserError, in one line, if it is damaged or of another mesh."""
    return session_from_json(load_json(path, "session file"), mesh, answers, str(path), surface)


def session_from_json(
    held: Any, mesh: Mesh, answers: Answers, source: str = "the session file", surface: Surface | None = None
) -> Session:
    """The inverse of `session_to_json`; UserError for anything else than such a value."""
    _require(held, FORMAT, mesh, source)
    try:
        state, log, next_part = _state_from_json(held, mesh)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, UserError) as error:
        reason = f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else str(error)[:120]
        raise UserError(f"{source} is a damaged session file ({reason}); save it again, or start anew") from error
    note = held.get("segmenter")
    identity = note.get("digest") if isinstance(note, dict) else ""
    return Session.reopened(
        mesh, answers, state, log, next_part, surface, identity if isinstance(identity, str) else ""
    )


def replay_log(path: str | Path, mesh: Mesh, answers: Answers, others: Iterable[Answers] = ()) -> tuple[Session, bool]:
    """Repeat the log of a log file or session file; returns the session and whether it ends in the recorded result.

    others: segmenters beside `answers` that answered, too (`utils.session.session.replay`)
    """
    from utils.session.session import replay

    held = load_json(path, "click log")
    _require(
        held,
        held.get("format") if isinstance(held, dict) and held.get("format") in (FORMAT, LOG_FORMAT) else LOG_FORMAT,
        mesh,
        str(path),
    )
    if not isinstance(held.get("log"), list):
        raise UserError(f"{path} is a damaged click log ('log' is missing); write it again")
    session = replay(mesh, answers, held["log"], others)
    return session, result_digest(session) == held.get("result")


def _require(held: Any, expected: str, mesh: Mesh, source: str) -> None:
    """UserError if `held` is no such file of this mesh."""
    if not isinstance(held, dict) or held.get("format") != expected:
        raise UserError(f"{source} is not an {expected} file; choose a file that this tool saved")
    if held.get("version") != VERSION:
        raise UserError(
            f"{source} has version {str(held.get('version'))[:20]}, this program reads version {VERSION}; use the "
            "program that wrote it"
        )
    note = held.get("mesh")
    if not isinstance(note, dict) or note.get("digest") != mesh.digest:
        name = str(note.get("name", "another mesh"))[:80] if isinstance(note, dict) else "another mesh"
        here = mesh.path.name if mesh.path else "this mesh"
        reason = f"{name}, which has changed since" if name == here else f"{name}, not of {here}"
        raise UserError(f"{source} is a session of {reason}; open the mesh it was made on")


def _state_from_json(held: dict[str, Any], mesh: Mesh) -> tuple[State, list, int]:
    size, settings = mesh.num_faces, held["settings"]
    threshold = settings["threshold"]
    parts, labels = [], np.zeros(size, dtype=np.uint16)
    if len(held["parts"]) > MAX_PARTS:
        raise ValueError("too many parts")
    for entry in held["parts"]:
        part_id = _whole(entry["id"], 1, 65535)
        faces = FaceSet.from_text(entry["faces"], size).mask
        if any(part.id == part_id for part in parts) or (labels[faces] != 0).any():
            raise ValueError("two parts share an id or a face")
        labels[faces] = part_id
        color = tuple(_number(value, 0, 1) for value in entry["color"])
        if len(color) != 3:
            raise ValueError("a colour has not three numbers")
        parts.append(
            Part(
                part_id,
                clean_name(entry["name"], f"part {part_id}"),
                color,
                _clicks(entry["clicks"], mesh),
                _flag(entry["visible"]),
                _flag(entry["locked"]),
            )
        )
    if len({part.name for part in parts}) < len(parts):
        raise ValueError("two parts have the same name")
    touches = tuple(_touch(kind, faces, size) for kind, faces in held["touches"])
    edits = tuple(
        check_edit(ShapeEdit(entry["kind"], FaceSet.from_text(entry["faces"], size), _number(entry["amount"], -1, 1)))
        for entry in held["edits"]
    )
    state = State(
        frozen_labels(labels),
        _clicks(held["clicks"], mesh),
        touches,
        _number(settings["granularity"], 0, 1),
        None if threshold is None else _number(threshold, 0, 1),
        tuple(parts),
        edits,
        _flag(settings["exclusive"]),
        _flag(settings["only_free"]),
        tuple(_lesson(entry, mesh) for entry in held.get("lessons", [])),
    )
    log = held["log"]
    if not isinstance(log, list) or not all(isinstance(entry, dict) for entry in log):
        raise ValueError("the log is no list of operations")
    lowest = max([0, *(part.id for part in parts)]) + 1
    return state, log, _whole(held["next_part"], lowest, 65535)


def _touch(kind: Any, faces: Any, size: int) -> Touch:
    if kind not in TOUCHES:
        raise ValueError("an unknown correction")
    return Touch(kind, FaceSet.from_text(faces, size) if kind in ("paint", "erase") else None)


def _lesson(entry: Any, mesh: Mesh) -> Lesson:
    lesson = Lesson(_clicks(entry["clicks"], mesh), tuple(_clicks(other, mesh) for other in entry["others"]))
    if not all(any(click.positive for click in clicks) for clicks in (lesson.clicks, *lesson.others)):
        raise ValueError("something was learnt without a positive click")
    return lesson


def _clicks(values: Any, mesh: Mesh) -> tuple[Click, ...]:
    clicks = tuple(Click(_whole(vertex, 0, mesh.num_vertices - 1), _flag(positive)) for vertex, positive in values)
    if len({click.vertex for click in clicks}) < len(clicks):
        raise ValueError("a vertex is clicked twice")
    return clicks


def _whole(value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{str(value)[:20]} is not a whole number from {low} to {high}")
    return value


def _number(value: Any, low: float, high: float) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not math.isfinite(value)
        or not low <= value <= high
    ):
        raise ValueError(f"{str(value)[:20]} is not a number from {low:g} to {high:g}")
    return float(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{str(value)[:20]} is neither true nor false")
    return value
