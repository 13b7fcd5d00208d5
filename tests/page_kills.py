"""The page, killed by SIGKILL at random moments of a scripted session and started again in the same folder.

The server is `interactive.py`'s, with instant answers, in a process of its own; `tests.viser_client` is the browser. Of
the work that its tab finds again, no more than the step that was not shown yet may be missing, nothing may be there
twice, and the rest of the script, and undo, must lead where they lead without a kill.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import trimesh

from interactive import InteractiveSettings, start
from tests.kills import Counts
from tests.mesh_files import write_obj
from tests.viser_client import Tab
from utils.errors import UserError
from utils.files import TEMPORARY
from utils.geometry.mesh import Mesh, load_mesh

UNDONE = 6  # steps, at the end
PATIENCE = 120  # seconds in which a server must be there
Step = Callable[["Mortal"], object]


class Mortal(Tab):
    """A tab that notices when its server is gone."""

    def wait(self, condition, seconds: float = 60.0):
        def gone() -> bool:
            return any(note.startswith("closed") for note in self.notes)

        found = super().wait(lambda: condition() or gone(), seconds)
        if gone():
            raise ConnectionError
        return found

    def labels(self) -> bytes:
        return self.painted(1)["labels"].tobytes()


@dataclass
class Trace:
    """What the labels were after each step, how much was logged by then, and what undo led to at the end."""

    labels: list[bytes] = field(default_factory=list)
    logged: list[int] = field(default_factory=list)
    undone: list[bytes] = field(default_factory=list)


def mallet(folder: Path) -> Path:
    path = folder / "mallet.obj"
    handle = trimesh.creation.box((0.3, 1.6, 0.3)).subdivide().subdivide().subdivide()
    head = trimesh.creation.box((1.4, 0.5, 0.5)).subdivide().subdivide().subdivide().apply_translation([0, 0.95, 0])
    shape = trimesh.util.concatenate([handle, head])
    write_obj(path, np.asarray(shape.vertices), np.asarray(shape.faces))
    return path


def script(mesh: Mesh) -> list[Step]:
    """Clicks, corrections by hand, parts, edits, files; each returns when the page has answered."""
    places, normals = mesh.normalized, mesh.vertex_normals * mesh.winding
    places, normals = places.astype(float), normals.astype(float)
    directions = np.array([[-1, 0.2, 0], [1, 0.2, 0], [0.1, -1, 0]])
    left, right, low = (int((places @ towards).argmax()) for towards in directions)
    front = int(np.where(places[:, 1] < 0.1, places @ [0, 0.5, 1], -9).argmax())  # of the handle, in the middle

    def ray(vertex: int) -> tuple[np.ndarray, np.ndarray]:
        return places[vertex] + 0.02 * normals[vertex], -normals[vertex]

    def click(vertex: int, modifier: str | None = None) -> Step:
        return lambda tab: tab.after(lambda: tab.click(*ray(vertex), modifier))

    def key(command: str) -> Step:
        return lambda tab: tab.after(lambda: tab.key(command))

    def set_to(label: str, value: object) -> Step:
        return lambda tab: (tab.settle(), tab.after(lambda: tab.set(label, value)))

    def brush(tab: Mortal) -> None:
        shape = [arguments[0] for function, arguments in tab.calls if function == "setShape"][-1]
        origin, direction = ray(front)
        message = {"type": "brush", "stroke": 1, "mode": "add", "rays": [[*origin, *direction]], "shape": shape}
        tab.after(lambda: tab.tell(message))

    def written(label: str, value: object) -> Step:
        return lambda tab: (tab.settle(), tab.notes.clear(), tab.set(label, value), tab.noted("Written"))

    return [
        *(click(left), click(low, "shift"), key("Coarser part"), key("Keep selection as part"), click(low), brush),
        *(set_to("Border", "Grow"), key("Undo"), key("Redo"), key("Keep selection as part"), written("Shape", "GLB")),
        *(click(right), set_to("Delete selection", True), key("Undo"), written("Save session", True)),
        *(click(front, "shift"), written("Shape", "OBJ"), key("Keep selection as part"), click(front)),
    ]


class PageKills:
    """Servers and tabs in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.mesh_path = folder, mallet(folder)
        self.steps = script(load_mesh(self.mesh_path))
        self.process = self.port = 0
        self.tab: Mortal | None = None

    def serve(self) -> None:
        reader, writer = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            with contextlib.suppress(BaseException):
                self._be_server(writer)
            os._exit(1)
        os.close(writer)
        with os.fdopen(reader) as told:
            self.port = int(told.readline() or 0)
        assert self.port, "the server did not start"

    def _be_server(self, writer: int) -> None:
        out = self.folder / "out"
        settings = InteractiveSettings(obj_path=self.mesh_path, segmenter="instant", port=0, out_dir=out, device="cpu")
        server = start(settings)
        assert server.studio.load(self.mesh_path).done.wait(PATIENCE)
        os.write(writer, f"{server.port}\n".encode())
        os.close(writer)
        while True:
            signal.pause()

    def kill(self) -> None:
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)

    def open(self, token: str | None = None) -> Mortal:
        self.tab = Mortal(self.port, token=token)
        self.tab.painted(1)
        self.tab.settle()
        return self.tab

    def logged(self, tab: Mortal) -> int:
        """How many entries the tab's file of work has."""
        for path in (self.folder / "out").rglob("*.work.jsonl"):
            lines = path.read_bytes().rpartition(b"\n")[0].split(b"\n")
            first, *rest = (json.loads(line) for line in lines)
            if first["owner"] == tab.token:
                return sum(entry["op"] not in ("use", "reopened") for line in rest for entry in line["log"])
        return 0

    def go(self, tab: Mortal, begin: int, done: list[int], trace: Trace | None = None) -> float:
        """The script from a step on; `done` gets the number of each that is answered. Returns the seconds it took."""
        seconds = 0.0
        for number in range(begin, len(self.steps)):
            started = time.monotonic()
            self.steps[number](tab)
            seconds += time.monotonic() - started
            done.append(number)
            if trace is not None:
                tab.settle()
                trace.labels.append(tab.labels())
                trace.logged.append(self.logged(tab))
        return seconds

    def undone(self, tab: Mortal) -> list[bytes]:
        return [tab.after(lambda: tab.key("Undo"))["labels"].tobytes() for _ in range(UNDONE)]

    def can_be_read(self) -> bool:
        """Whether every file of results is whole."""
        try:
            for path in (self.folder / "out").rglob("*"):
                if path.suffix in (".glb", ".obj") and not path.name.startswith(TEMPORARY):
                    load_mesh(path)
                elif path.suffix == ".json":
                    json.loads(path.read_text())
        except (UserError, ValueError):
            return False
        return True


def kill_page(kills: int, folder: Path, rng: np.random.Generator) -> Counts:
    """Run the script without a kill, then again and again with one, each time in a new tab."""
    page, counts, trace = PageKills(folder), Counts(), Trace()
    page.serve()
    tab = page.open()
    seconds = page.go(tab, 0, [], trace)
    trace.undone = page.undone(tab)
    tab.close()
    for _ in range(kills):
        again, answered = _killed(page, float(rng.uniform(0, seconds)))
        counts.kills += 1
        counts.midway += answered < len(page.steps)
        try:
            _compare(page, again, trace, answered, counts)
        except (AssertionError, ConnectionError):  # it does not answer any more
            counts.failed += 1
        again.close()
        counts.damaged += not page.can_be_read()
        counts.left_behind += any((folder / "out").rglob(f"{TEMPORARY}*"))
    page.kill()
    return counts


def _killed(page: PageKills, moment: float) -> tuple[Mortal, int]:
    """The tab after the server was killed and started again, and how many steps had been answered."""
    tab, done = page.open(), []

    def work() -> None:
        with contextlib.suppress(Exception):  # the server is gone
            page.go(tab, 0, done)

    worker = threading.Thread(target=work)
    worker.start()
    time.sleep(moment)
    page.kill()
    worker.join()
    tab.close()
    page.serve()
    return page.open(tab.token), len(done)


def _compare(page: PageKills, tab: Mortal, trace: Trace, answered: int, counts: Counts) -> None:
    """Is all there but for the step in flight, and do the rest of the script and undo lead where they did?"""
    known, logged = [0, *trace.logged], page.logged(tab)  # before the first step, after it, ...
    there = [count for count in range(answered, min(answered + 2, len(known))) if known[count] == logged]
    if not there or (logged and tab.labels() not in [trace.labels[count - 1] for count in there]):
        counts.different += 1
    else:
        counts.different += _ends_elsewhere(page, tab, trace, there[0])


def _ends_elsewhere(page: PageKills, tab: Mortal, trace: Trace, begin: int) -> bool:
    page.go(tab, begin, [])
    tab.settle()
    same = tab.labels() == trace.labels[-1] and page.logged(tab) == trace.logged[-1]
    return not same or page.undone(tab) != trace.undone


if __name__ == "__main__":
    import sys
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        print(kill_page(int(sys.argv[1]) if len(sys.argv) > 1 else 30, Path(place), np.random.default_rng(0)))
