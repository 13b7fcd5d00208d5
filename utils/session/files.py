"""Session files and click logs: JSON, written whole or not at all, read with distrust."""

from __future__ import annotations

import base64
import shlex
import zlib
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
    MAX_RUNG,
    NO_PART,
    TOUCHES,
    Click,
    FaceSet,
    Lesson,
    Part,
    Proposals,
    ShapeEdit,
    State,
    Touch,
    frozen_labels,
    is_number,
    part_name,
)
from utils.session.surface import Surface

FORMAT = "iseg session"
VERSION = 3  # 1: kept parts lost the faces that another one was given; 2: no rungs and no proposals
LOG_FORMAT = "iseg click log"
SETTINGS = ("granularity", "threshold", "exclusive", "only_free", "taking", "reselected", "rung")  # of a state
EARLIER = {1: {"taking": True, "reselected": NO_PART, "rung": 0}, 2: {"rung": 0}}  # settings of older files


# --- writing --------------------------------------------------------------------------------------


def save_session(path: str | Path, session: Session) -> None:
    """Write everything that is needed to go on: clicks, corrections, parts, edits, settings, the log, and digests."""
    save_json(path, session_to_json(session), strict=True)


def session_to_json(session: Session) -> dict[str, Any]:
    """All of it as plain values; `session_from_json` reads them."""
    state = session.state
    faces = [FaceSet(state.labels == part.id).to_text() for part in state.parts]
    return {
        **heading(FORMAT, session),
        "settings": settings_to_json(state),
        "clicks": plain(state.clicks),
        "touches": [touch_to_json(touch) for touch in state.touches],
        "parts": [{**part_to_json(part), "faces": text} for part, text in zip(state.parts, faces)],
        "lessons": [lesson_to_json(lesson) for lesson in state.lessons],
        "edits": [edit_to_json(edit) for edit in state.edits],
        "proposals": proposals_to_json(state.proposals),
        "next_part": session.next_part,
        "log": session.log,
        "result": result_digest(session),
    }


def plain(value: Any) -> Any:
    """Tuples in tuples as lists in lists."""
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def settings_to_json(state: State) -> dict[str, Any]:
    return {name: getattr(state, name) for name in SETTINGS}


def part_to_json(part: Part) -> dict[str, Any]:
    """All but its faces."""
    values = {name: getattr(part, name) for name in ("id", "name", "visible", "locked")}
    return {**values, "color": list(part.color), "clicks": plain(part.clicks)}


def touch_to_json(touch: Touch) -> list[Any]:
    return [touch.kind, touch.faces.to_text() if touch.faces else None]


def lesson_to_json(lesson: Lesson) -> dict[str, Any]:
    return {"clicks": plain(lesson.clicks), "others": plain(lesson.others)}


def edit_to_json(edit: ShapeEdit) -> dict[str, Any]:
    return {"kind": edit.kind, "faces": edit.faces.to_text(), "amount": edit.amount}


def proposals_to_json(proposals: Proposals | None) -> dict[str, Any] | None:
    if proposals is None:
        return None
    rest = {name: getattr(proposals, name) for name in ("colors", "detail", "identity")}
    return {"labels": labels_to_text(proposals.labels), "parts": plain(proposals.parts), **rest}


def heading(name: str, session: Session) -> dict[str, Any]:
    """What every file of ours begins with."""
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
    save_json(path, {**heading(LOG_FORMAT, session), **rest}, strict=True)


def decoder_command(session: Session) -> str:
    """The command that answers the current clicks, to the same probabilities: decoder.py with a decoder trained on the
    mesh, iseg3d.py for instant answers. Empty where there is none, as after instant answers have learnt."""
    state, selection, segmenter = session.state, session.selection, session.answers.segmenter
    if selection.probability is None:
        return ""
    sources, granularity = segmenter.sources, ["--granularity", repr(state.granularity)]
    if selection.answer.rung and segmenter.nested:
        granularity = ["--rung", str(selection.answer.rung)]
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
    require(held, FORMAT, mesh, source)
    try:
        state, log, next_part = _state_from_json(held, mesh)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, zlib.error, UserError) as error:
        reason = f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else str(error)[:120]
        raise UserError(f"{source} is a damaged session file ({reason}); save it again, or start anew") from error
    note = held.get("segmenter")
    identity = note.get("digest") if isinstance(note, dict) else ""
    identity = identity if isinstance(identity, str) else ""
    return Session.reopened(mesh, answers, ((), state, ()), log, next_part, surface, identity)


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
    require(held, FORMAT if session_file else LOG_FORMAT, mesh, str(path))
    if not isinstance(held.get("log"), list):
        raise UserError(f"{path} is a damaged click log ('log' is missing); write it again")
    session = replay(mesh, answers, _repeatable(held["log"], held), others)
    return session, result_digest(session) == held.get("result")


def require(held: Any, expected: str, mesh: Mesh, source: str) -> None:
    """UserError if `held` is no such file of this mesh."""
    if not isinstance(held, dict) or held.get("format") != expected:
        raise UserError(f"{source} is not an {expected} file; choose a file that this tool saved")
    if held.get("version") not in (*EARLIER, VERSION):
        raise UserError(
            f"{source} has version {str(held.get('version'))[:20]}, this program reads 1 to {VERSION}; use "
            "the program that wrote it"
        )
    note = held.get("mesh")
    if not isinstance(note, dict) or note.get("digest") != mesh.digest:
        name = str(note.get("name", "another mesh"))[:80] if isinstance(note, dict) else "another mesh"
        here = mesh.path.name if mesh.path else "this mesh"
        reason = f"{name}, which has changed since" if name == here else f"{name}, not of {here}"
        raise UserError(f"{source} is a session of {reason}; open the mesh it was made on")


def _state_from_json(held: dict[str, Any], mesh: Mesh) -> tuple[State, list, int]:
    size = mesh.num_faces
    parts, labels = [], np.zeros(size, dtype=np.uint16)
    if len(held["parts"]) > MAX_PARTS:
        raise ValueError("too many parts")
    for entry in held["parts"]:
        part_id = _whole(entry["id"], 1, 65535)
        faces = FaceSet.from_text(entry["faces"], size).mask
        if any(part.id == part_id for part in parts) or (labels[faces] != 0).any():
            raise ValueError("two parts share an id or a face")
        labels[faces] = part_id
        parts.append(part_from_json(entry, mesh))
    state = state_of(
        {**EARLIER.get(held["version"], {}), **held["settings"]},
        frozen_labels(labels),
        clicks_from_json(held["clicks"], mesh),
        [touch_from_json(entry, mesh) for entry in held["touches"]],
        parts,
        [lesson_from_json(entry, mesh) for entry in held.get("lessons", [])],
        [edit_from_json(entry, mesh) for entry in held["edits"]],
        proposals_from_json(held["proposals"] if held["version"] == VERSION else None, mesh),
    )
    log, next_part = log_from_json(held, state)
    return state, _repeatable(log, held), next_part


def _repeatable(log: list[dict[str, Any]], held: dict[str, Any]) -> list[dict[str, Any]]:
    """The log of a file, which may be of version 1, as this version repeats it."""
    return [{"op": "set_taking", "taking": True}, *log] if held["version"] == 1 else log


def state_of(
    settings: Any,
    labels: np.ndarray,
    clicks: tuple[Click, ...],
    touches: Iterable[Touch],
    parts: Iterable[Part],
    lessons: Iterable[Lesson],
    edits: Iterable[ShapeEdit],
    proposals: Proposals | None,
) -> State:
    """A state of checked pieces; ValueError if they or the settings, which are plain values, make none."""
    parts, threshold = tuple(parts), settings["threshold"]
    if len({part.name for part in parts}) < len(parts):
        raise ValueError("two parts have the same name")
    return State(
        labels,
        clicks,
        tuple(touches),
        _number(settings["granularity"], 0, 1),
        None if threshold is None else _number(threshold, 0, 1),
        parts,
        tuple(edits),
        _flag(settings["exclusive"]),
        _flag(settings["only_free"]),
        tuple(lessons),
        _flag(settings["taking"]),
        _whole(settings["reselected"], 0, 65535),
        _whole(settings["rung"], -MAX_RUNG, MAX_RUNG),
        proposals,
    )


def log_from_json(held: dict[str, Any], state: State) -> tuple[list[dict[str, Any]], int]:
    """The log that led to a state, and the id of the next part."""
    log = held["log"]
    if not isinstance(log, list) or not all(isinstance(entry, dict) for entry in log):
        raise ValueError("the log is no list of operations")
    lowest = max([0, *(part.id for part in state.parts)]) + 1
    return log, _whole(held["next_part"], lowest, 65535)


def part_from_json(entry: Any, mesh: Mesh) -> Part:
    """The inverse of `part_to_json`."""
    part_id = _whole(entry["id"], 1, 65535)
    color = tuple(_number(value, 0, 1) for value in entry["color"])
    if len(color) != 3:
        raise ValueError("a colour has not three numbers")
    name, clicks = part_name(entry["name"], f"part {part_id}"), clicks_from_json(entry["clicks"], mesh)
    return Part(part_id, name, color, clicks, _flag(entry["visible"]), _flag(entry["locked"]))


def touch_from_json(entry: Any, mesh: Mesh) -> Touch:
    """The inverse of `touch_to_json`."""
    kind, faces = entry
    if kind not in TOUCHES:
        raise ValueError("an unknown correction")
    return Touch(kind, FaceSet.from_text(faces, mesh.num_faces) if kind in ("paint", "erase") else None)


def edit_from_json(entry: Any, mesh: Mesh) -> ShapeEdit:
    """The inverse of `edit_to_json`."""
    faces = FaceSet.from_text(entry["faces"], mesh.num_faces)
    return check_edit(ShapeEdit(entry["kind"], faces, _number(entry["amount"], -1, 1)))


def proposals_from_json(held: Any, mesh: Mesh) -> Proposals | None:
    """The inverse of `proposals_to_json`."""
    if held is None:
        return None
    labels = labels_from_text(held["labels"], mesh)
    parts = tuple(tuple(_whole(node, 0, 1 << 30) for node in part) for part in held["parts"])
    colors = tuple(_whole(color, 0, 65535) for color in held["colors"])
    if len(colors) != len(parts) or labels.max(initial=0) > len(parts) or not all(parts):
        raise ValueError("proposals do not fit their faces")
    return Proposals(labels, parts, colors, _number(held["detail"], 0, 1), str(held["identity"]))


def labels_to_text(labels: np.ndarray) -> str:
    """Compressed, for JSON."""
    return base64.b64encode(zlib.compress(labels.tobytes(), 1)).decode("ascii")


def labels_from_text(text: str, mesh: Mesh) -> np.ndarray:
    """(F,) uint16, the inverse of `labels_to_text`; ValueError for labels of another mesh."""
    size = 2 * mesh.num_faces
    found = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), size + 1)
    if len(found) != size:
        raise ValueError("labels belong to a mesh of another size")
    return frozen_labels(np.frombuffer(found, dtype=np.uint16))


def lesson_from_json(entry: Any, mesh: Mesh) -> Lesson:
    """The inverse of `lesson_to_json`."""
    others = tuple(clicks_from_json(other, mesh) for other in entry["others"])
    lesson = Lesson(clicks_from_json(entry["clicks"], mesh), others)
    if not all(any(click.positive for click in clicks) for clicks in (lesson.clicks, *lesson.others)):
        raise ValueError("something was learnt without a positive click")
    return lesson


def clicks_from_json(values: Any, mesh: Mesh) -> tuple[Click, ...]:
    """Pairs of a vertex and whether it includes."""
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
