"""Session files and click logs: JSON, written whole or not at all, read with distrust."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
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
    is_number,
)
from utils.session.surface import Surface

FORMAT = "iseg session"
VERSION = 1
LOG_FORMAT = "iseg click log"


# --- writing --------------------------------------------------------------------------------------


def save_session(path: str | Path, session: Session) -> None:
    """Write everything that is needed to go on: clicks, corrections, parts, edits, settings, the log, and digests."""
    save_json(path, session_to_json(session))


def session_to_json(session: Session) -> dict[str, Any]:
    """All of it as plain values; `session_from_json` reads them."""
    state = session.state
    parts = [
        {
            "id": part.id,
            "name": part.name,
            "color": list(part.color),
            "clicks": _plain(part.clicks),
            "visible": part.visible,
            "locked": part.locked,
            "faces": FaceSet(state.labels == part.id).to_text(),
        }
        for part in state.parts
    ]
    lessons = [{"clicks": _plain(lesson.clicks), "others": _plain(lesson.others)} for lesson in state.lessons]
    edits = [{"kind": edit.kind, "faces": edit.faces.to_text(), "amount": edit.amount} for edit in state.edits]
    settings = {name: getattr(state, name) for name in ("granularity", "threshold", "exclusive", "only_free")}
    return {
        **_heading(FORMAT, session),
        "settings": settings,
        "clicks": _plain(state.clicks),
        "touches": [[touch.kind, touch.faces.to_text() if touch.faces else None] for touch in state.touches],
        "parts": parts,
        "lessons": lessons,
        "edits": edits,
        "next_part": session.next_part,
        "log": session.log,
        "result": result_digest(session),
    }


def _plain(value: Any) -> Any:
    """Tuples in tuples as lists in lists."""
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _heading(name: str, session: Session) -> dict[str, Any]:
    mesh, segmenter = session.mesh, session.answers.segmenter
    return {
        "format": name,
        "version": VERSION,
        "mesh": {
            "name": mesh.path.name if mesh.path else "",
            "digest": mesh.digest,
            "vertices": mesh.num_vertices,
            "faces": mesh.num_faces,
        },
        "segmenter": {
            "kind": segmenter.kind,
            "digest": segmenter.identity,
            "checkpoint": segmenter.sources.get("checkpoint", ""),
            "features": segmenter.sources.get("features", ""),
            "precision": segmenter.sources.get("precision", "exact"),
        },
    }


def save_log(path: str | Path, session: Session) -> None:
    """Write the log of operations, which `replay_log` repeats, and the command that answers the current clicks."""
    rest = {"decoder_command": decoder_command(session), "log": session.log, "result": result_digest(session)}
    save_json(path, {**_heading(LOG_FORMAT, session), **rest})


def decoder_command(session: Session) -> str:
    """The command that answers the current clicks, to the same probabilities: decoder.py with a decoder trained on the
    mesh, iseg3d.py for instant answers. Empty where there is none, as after instant answers have learnt."""
    state, selection, segmenter = session.state, session.selection, session.answers.segmenter
    if selection.probability is None:
        return ""
    sources, granularity = segmenter.sources, ["--granularity", repr(state.granularity)]
    if segmenter.kind == "instant" and not state.lessons:
        script, reading = "iseg3d.py", ["--weights", sources["checkpoint"], *granularity]
    elif segmenter.kind == "trained":
        checkpoint, script = Path(sources["checkpoint"]), "decoder.py"
        reading = ["--encoder_f_path", sources["features"]] if "features" in sources else granularity
        reading += ["--save_dir", str(checkpoint.parent), "--model_name", checkpoint.name]
        reading += ["--precision", sources.get("precision", "exact")]
    else:
        return ""
    ids = [f"{'' if include else '-'}{vertex}" for vertex, include in state.query().pairs]
    selecting = ["--hard", "1", "--threshold", repr(selection.threshold), "--select_vertices", *ids]
    return shlex.join(["python", script, "--mode", "test", "--obj_path", str(session.mesh.path), *reading, *selecting])


def result_digest(session: Session) -> str:
    """Identifies all that a session led to: probabilities, selected faces, parts and the edited shape."""
    selection, shape, state = session.selection, session.shape, session.state
    probability = np.zeros(0, dtype=np.float32) if selection.probability is None else selection.probability
    names = repr([(part.id, part.name, part.visible, part.locked) for part in state.parts])
    return digest(probability, selection.faces, state.labels, names, shape.vertices, shape.alive)


# --- reading --------------------------------------------------------------------------------------


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
    identity = identity if isinstance(identity, str) else ""
    return Session.reopened(mesh, answers, state, log, next_part, surface, identity)


def replay(mesh: Mesh, answers: Answers, log: list[dict[str, Any]], others: Iterable[Answers] = ()) -> Session:
    """A session in which everything in `log` was done; with the same segmenter, the same result bit for bit.

    Where several answered, one after the other, `others` are those beside `answers`; the log knows each by its
    `identity`. UserError if one is missing.
    """
    known = {held.identity: held for held in (answers, *others)}
    changes = [entry for entry in log if isinstance(entry, dict) and entry.get("op") == "use"]
    first = changes[0].get("before") if changes else answers.identity
    if not isinstance(first, str) or first not in known:
        raise UserError(f"the log begins with another segmenter ({str(first)[:20]}), which is needed to repeat it")
    session = Session(mesh, known[first], others=known)
    for entry in log:
        session.perform(entry)
    return session


def replay_log(path: str | Path, mesh: Mesh, answers: Answers, others: Iterable[Answers] = ()) -> tuple[Session, bool]:
    """Repeat the log of a log file or session file; returns the session and whether it ends in the recorded result.

    others: segmenters beside `answers` that answered, too (see `replay`)
    """
    held = load_json(path, "click log")
    session_file = isinstance(held, dict) and held.get("format") == FORMAT
    _require(held, FORMAT if session_file else LOG_FORMAT, mesh, str(path))
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
    if not is_number(value, low, high):
        raise ValueError(f"{str(value)[:20]} is not a number from {low:g} to {high:g}")
    return float(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{str(value)[:20]} is neither true nor false")
    return value
