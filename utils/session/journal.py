"""Work that survives everything: each step is appended to a file from which the session goes on, undo included."""

from __future__ import annotations

import errno
import json
import os
import zlib
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from utils.errors import UserError
from utils.files import NOT_WHOLE, atomic_path
from utils.geometry.mesh import Mesh
from utils.session.answers import Answers
from utils.session.files import (
    clicks_from_json,
    edit_from_json,
    edit_to_json,
    heading,
    labels_from_text,
    labels_to_text,
    lesson_from_json,
    lesson_to_json,
    log_from_json,
    part_from_json,
    part_to_json,
    plain,
    proposals_from_json,
    proposals_to_json,
    require,
    settings_to_json,
    state_of,
    touch_from_json,
    touch_to_json,
)
from utils.session.session import Session
from utils.session.state import State
from utils.session.surface import Surface

FORMAT = "iseg work"
SUFFIX = ".work.jsonl"
READERS = {"touches": touch_from_json, "parts": part_from_json, "lessons": lesson_from_json, "edits": edit_from_json}
DAMAGED = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, zlib.error)


@dataclass(frozen=True)
class Note:
    """What a file of work says about itself.

    digest, mesh   of the mesh, and its file; owner: of the tab that it belongs to
    parts, clicks  how many there are at the end
    changed        seconds since the epoch
    """

    path: Path
    digest: str
    mesh: str
    owner: str
    parts: int
    clicks: int
    changed: float

    @property
    def summary(self) -> str:
        """A few words for people."""
        words = [
            f"{count} {name}{'s' * (count != 1)}" for count, name in ((self.parts, "part"), (self.clicks, "click"))
        ]
        return ", ".join(words)


class Journal:
    """The file that one session is kept in, step by step.

    Nothing is written before the first step. The file begins whole (`atomic_path`) and then grows by one line a step,
    so that after `kill -9` only the step in flight is missing: a last line without its end is not read. A line holds
    what is new: states share their sets of faces, so a click takes some hundred bytes.
    """

    def __init__(self, path: Path, session: Session, owner: str) -> None:
        self.path, self.session, self.owner = path, session, owner
        self._forget()

    def _forget(self) -> None:
        """The next step is written with all before it."""
        self._numbers: dict[Hashable, int] = {}
        self._fresh: dict[int, Any] = {}
        self._past: list[State] = []
        self._future: list[State] = []
        self._logged = self._size = 0

    def save(self) -> bool:
        """Write what was done since the last time; whether there was anything. OSError where that cannot be."""
        log = self.session.log
        if self._logged == len(log) or not any(entry["op"] != "use" for entry in log):
            return False
        if self._logged and self.path.is_file() and self.path.stat().st_size == self._size:
            self._append()
        else:
            self.write()
        return True

    def write(self) -> None:
        """Write all of it anew, in one go."""
        self._forget()
        first = {**heading(FORMAT, self.session), "owner": self.owner, "path": str(self.session.mesh.path or "")}
        content = _line(first) + _line(self._news())
        try:
            with atomic_path(self.path) as temporary:
                temporary.write_bytes(content)
        except OSError:
            self._forget()
            raise
        self._size = len(content)

    def _append(self) -> None:
        content = _line(self._news())
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        try:
            if os.write(handle, content) < len(content):
                raise OSError(errno.ENOSPC, NOT_WHOLE, str(self.path))
            self._size += len(content)
        except OSError:
            os.ftruncate(handle, self._size)  # the steps before stay readable
            self._forget()
            raise
        finally:
            os.close(handle)

    def _news(self) -> dict[str, Any]:
        """What a line says: things by their numbers, then how the stacks of undo change."""
        session, self._fresh = self.session, {}
        past, current, future = session.steps
        segmenter, state = session.answers.segmenter, session.state
        line = {
            "past": self._change(self._past, past),
            "future": self._change(self._future, future),
            "current": self._state(current),
            "log": session.log[self._logged :],
            "next_part": session.next_part,
            "segmenter": {"kind": segmenter.kind, "digest": session.identity, "chosen": session.choice},
            "parts": len(state.parts),
            "clicks": len(state.clicks),
        }
        self._past, self._future, self._logged = past, future, len(session.log)
        return {"new": self._fresh, **line}

    def _change(self, before: Sequence[State], now: Sequence[State]) -> list[Any]:
        """How many states from the bottom of a stack stay, and the numbers of those above."""
        same = 0
        while same < min(len(before), len(now)) and before[same] is now[same]:
            same += 1
        return [same, [self._state(state) for state in now[same:]]]

    def _number(self, key: Hashable, describe: Callable[[], Any]) -> int:
        """The number of a thing, which is described in the line that names it first."""
        if key not in self._numbers:
            value = describe()  # may number other things first
            self._fresh[len(self._numbers)] = value
            self._numbers[key] = len(self._numbers)
        return self._numbers[key]

    def _state(self, state: State) -> int:
        number = self._number
        return number(
            _Same(state),
            lambda: {
                "settings": settings_to_json(state),
                "labels": number(_Same(state.labels), lambda: labels_to_text(state.labels)),
                "proposals": number(_Same(state.proposals), lambda: proposals_to_json(state.proposals)),
                "clicks": plain(state.clicks),
                "touches": [number(touch, partial(touch_to_json, touch)) for touch in state.touches],
                "parts": [number(part, partial(part_to_json, part)) for part in state.parts],
                "lessons": [number(lesson, partial(lesson_to_json, lesson)) for lesson in state.lessons],
                "edits": [number(edit, partial(edit_to_json, edit)) for edit in state.edits],
            },
        )


class _Same:
    """A key that is equal to that of the same object only, which it keeps alive."""

    def __init__(self, thing: object) -> None:
        self.thing = thing

    def __hash__(self) -> int:
        return id(self.thing)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.thing is other.thing


def read_note(path: Path) -> Note | None:
    """What a file of work says about itself, None if it is none."""
    try:
        first, *_, last = _lines(path)
        mesh = first["mesh"]["digest"], str(first["path"])
        if first["format"] != FORMAT:
            return None
        return Note(path, *mesh, str(first["owner"]), int(last["parts"]), int(last["clicks"]), path.stat().st_mtime)
    except (OSError, *DAMAGED):
        return None


def go_on(path: Path, mesh: Mesh, surface: Surface | None, answers_of: Callable[[Any, Any], Answers]) -> Session:
    """The session that a file of work holds, with all that can be undone and redone. UserError if it is damaged.

    answers_of: what answers, by kind and identity of what did
    """
    try:
        first, *lines = _lines(path)
        require(first, FORMAT, mesh, path.name)
        if not lines:
            raise ValueError("it holds no step")
        things: dict[int, Any] = {}
        past: list[int] = []
        future: list[int] = []
        log: list[Any] = []
        for line in lines:
            things |= {int(number): value for number, value in line["new"].items()}
            past = past[: line["past"][0]] + line["past"][1]
            future = future[: line["future"][0]] + line["future"][1]
            log += line["log"]
        state = _Reader(things, mesh).state
        steps = [state(number) for number in past], state(line["current"]), [state(number) for number in future]
        log, next_part = log_from_json({"log": log, "next_part": line["next_part"]}, steps[1])
        note = line["segmenter"]
        kind, identity, chosen = (str(note[name]) for name in ("kind", "digest", "chosen"))
    except DAMAGED as error:
        raise UserError(f"{path.name} is damaged ({str(error)[:80]}): start anew") from error
    session = Session.reopened(mesh, answers_of(kind, identity), steps, log, next_part, surface, identity)
    session.choice = chosen
    return session


class _Reader:
    """Things by their numbers; each is made once, so that states share what they shared."""

    def __init__(self, things: dict[int, Any], mesh: Mesh) -> None:
        self.things, self.mesh = things, mesh
        self._made: dict[int, Any] = {}

    def made(self, number: int, make: Callable[[Any, Mesh], Any]) -> Any:
        if number not in self._made:
            self._made[number] = make(self.things[number], self.mesh)
        return self._made[number]

    def state(self, number: int) -> State:
        return self.made(number, self._state)

    def _state(self, held: Any, mesh: Mesh) -> State:
        names = {
            "touches": touch_from_json,
            "parts": part_from_json,
            "lessons": lesson_from_json,
            "edits": edit_from_json,
        }
        things = {name: [self.made(number, make) for number in held[name]] for name, make in names.items()}
        labels = self.made(held["labels"], labels_from_text)
        proposals = self.made(held["proposals"], proposals_from_json) if "proposals" in held else None
        settings = {"rung": 0, **held["settings"]}
        return state_of(settings, labels, clicks_from_json(held["clicks"], mesh), **things, proposals=proposals)


def _line(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _lines(path: Path) -> list[Any]:
    """The lines that were written whole."""
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    return [json.loads(line) for line in whole.split(b"\n")]
