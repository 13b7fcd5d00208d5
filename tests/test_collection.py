"""Many meshes: what goes in, rows, what is kept of a stopped run, limits. All without Ray and without pyarrow."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from models.collection import cluster, run
from models.collection.guard import Guard, answered
from models.collection.ledger import UNFINISHED, Ledger
from models.collection.manifest import Entry, fetched, read_entries, require_own_names
from models.collection.rows import MEASURED, pack, unpack
from models.collection.run import Loop, claimed, run_collection, work_off
from models.collection.settings import CollectionSettings
from models.collection.works import Answers, Parts, joins, make
from models.open import open_segmenter
from scripts import collection
from tests.collection_works import entries, job
from utils.clicks import Clicks
from utils.errors import UserError
from utils.files import atomic_path
from utils.geometry.mesh import load_mesh
from utils.geometry.part_tree import PartTree
from utils.progress import Lines, Step
from utils.viewer.folder import OutputFolder

HAMMER = Path(__file__).resolve().parents[1] / "meshes" / "hammer.obj"


class JsonLines:
    """A store that needs no package."""

    suffix = ".jsonl"

    def write(self, path, packed):
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"".join(each + b"\n" for each in packed))

    def count(self, path):
        return len(path.read_bytes().splitlines()) if path.is_file() else -1


def rows(folder: Path) -> list[dict]:
    """Those in finished files, without what is measured."""
    lines = [line for path in sorted(folder.glob("rows-*.jsonl")) for line in path.read_bytes().splitlines()]
    return [{key: str(value) for key, value in unpack(line).items() if key not in MEASURED} for line in lines]


# --- what goes in ----------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    for name in ("b.obj", "sub/a.PLY", "notes.txt", "sub/c.glb"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    return tmp_path


def test_a_folder_and_a_glob_hold_their_meshes_by_name(folder):
    assert [entry.id for entry in read_entries(str(folder))] == ["b.obj", "sub/a.PLY", "sub/c.glb"]
    assert read_entries(f"{folder}/*/*.glb") == [Entry("sub/c.glb", str(folder / "sub" / "c.glb"))]


def test_manifests_of_text_say_the_same(folder):
    (folder / "m.csv").write_text('\ufeffid,path,clicks\n2,b.obj,"5 -0"\n1,/far/a.obj,\n3,memory://x/y.ply,7\n')
    held = [{"id": 2, "path": "b.obj", "clicks": ["5", "-0"]}, {"id": 1, "path": "/far/a.obj", "clicks": None}]
    lines = [*held, {"id": 3, "path": "memory://x/y.ply", "clicks": 7, "more": 1}]
    (folder / "m.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    expected = [
        Entry("1", "/far/a.obj"),
        Entry("2", str(folder / "b.obj"), "5 -0"),
        Entry("3", "memory://x/y.ply", "7"),
    ]
    assert read_entries(str(folder / "m.csv")) == read_entries(str(folder / "m.jsonl"), clicks=True) == expected


def test_meshes_elsewhere_are_fetched(tmp_path):
    import fsspec

    fsspec.filesystem("memory").pipe_file("/shop/m/hammer.obj", HAMMER.read_bytes())
    (entry,) = read_entries("memory://shop/m")
    assert entry.id == "hammer.obj"
    with fetched(entry.path) as local:
        assert local.name == "hammer.obj" and local.read_bytes() == HAMMER.read_bytes()
    assert not local.exists()
    with pytest.raises(UserError, match="no mesh at"), fetched("memory://shop/none.obj"):
        pass


@pytest.mark.parametrize(
    ("name", "text", "said"),
    (
        ("m.csv", "id,file\n1,a.obj\n", r"lacks the column path and clicks \(it has id, file\)"),
        ("m.jsonl", '{"path": "a.obj", "clicks": "1"}\n{"id": 3}\n', "lacks the column path and clicks .line 2 has id"),
        ("m.jsonl", '{"path": "a.obj", "clicks": "1"}\n{"id"', "line 2 is not JSON"),
        ("m.jsonl", "[1]\n", "line 1 is no JSON object"),
        ("m.csv", "path,clicks\n,1\n", "line 1 has no path"),
        ("m.csv", "path,clicks,id\na.obj,1,x\nb.obj,1,x\n", "the id 'x' is there twice"),
        ("m.csv", "path,clicks\n", "holds no mesh"),
        ("m.csv", b"path,clicks\n\xff\xfe,1\n", "no text in UTF-8"),
        ("none.csv", None, "cannot be read: No such file"),
        ("none", None, "holds no clicks"),
    ),
)
def test_bad_manifests_are_one_line(tmp_path, name, text, said):
    if text is not None:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=said) as caught:
        read_entries(str(tmp_path / name), clicks=True)
    assert "\n" not in str(caught.value)


def test_meshes_of_one_name_have_no_cache_in_common():
    require_own_names([Entry("1", "a/x.obj"), Entry("2", "a/y.obj"), Entry("3", "a/x.obj")])
    with pytest.raises(UserError, match="a/x.obj and b/x.ply would have one cache"):
        require_own_names([Entry("1", "a/x.obj"), Entry("2", "b/x.ply")])


def test_what_is_not_there_is_one_line(tmp_path):
    for source, said in ((str(tmp_path / "none"), "no folder, glob or manifest"), (str(tmp_path), "holds no mesh")):
        with pytest.raises(UserError, match=said):
            read_entries(source)
    with pytest.raises(UserError, match="cannot be read here"):
        read_entries("nonsense://bucket/x")


# --- rows, and what is kept of them ----------------------------------------------------------------


def test_rows_travel_as_they_are():
    row = {"id": "é", "error": None, "labels": np.array([1, 2, 65535]), "quality": [0.5], "ladder": None}
    back = unpack(pack(row))
    assert back.pop("labels").tolist() == [1, 2, 65535]
    assert back == {"id": "é", "error": None, "quality": [0.5]}
    with pytest.raises(ValueError, match="labels from 0 to 65536 do not fit into 16 bits"):
        pack({"labels": np.array([0, 65536])})


@pytest.mark.parametrize("order", (range(7), [6, 2, 0, 5, 3, 1, 4]))
def test_files_do_not_depend_on_the_order_in_which_rows_come(tmp_path, order):
    ledger = Ledger(tmp_path, 7, 3, JsonLines())
    for row in order:
        ledger.add(row, b"row %d" % row)
        ledger.add(row, b"again")
    assert [path.read_bytes() for path in sorted(tmp_path.glob("rows-*"))] == [
        b"row 0\nrow 1\nrow 2\n",
        b"row 3\nrow 4\nrow 5\n",
        b"row 6\n",
    ]
    assert not list((tmp_path / UNFINISHED).iterdir())


@pytest.mark.parametrize("cut", (0, 1, 5, 14, 20))
def test_a_kill_loses_at_most_the_row_that_was_being_written(tmp_path, cut):
    ledger = Ledger(tmp_path, 10, 5, JsonLines())
    for row in (0, 7, 2, 9):
        ledger.add(row, b"row %d " % row * 3)
    journal = tmp_path / UNFINISHED / "00001.rows"
    whole = journal.read_bytes()
    journal.write_bytes(whole[: len(whole) - cut])
    again = Ledger(tmp_path, 10, 5, JsonLines())
    lost = [9] if cut else []
    assert list(again.missing()) == sorted([1, 3, 4, 5, 6, 8, *lost])
    for row in again.missing():
        again.add(row, b"row %d " % row * 3)
    assert list(Ledger(tmp_path, 10, 5, JsonLines()).missing()) == []
    assert sum(path.read_bytes().count(b"\n") for path in tmp_path.glob("rows-*")) == 10


def test_a_kill_between_the_last_row_and_its_file_loses_nothing(tmp_path):
    class Killed(JsonLines):
        def write(self, path, packed):
            raise KeyboardInterrupt

    ledger = Ledger(tmp_path, 2, 2, Killed())
    ledger.add(0, b"a")
    with pytest.raises(KeyboardInterrupt):
        ledger.add(1, b"b")
    assert Ledger(tmp_path, 2, 2, JsonLines()).done == 2
    assert (tmp_path / "rows-00000.jsonl").read_bytes() == b"a\nb\n"


def test_a_damaged_file_of_rows_is_made_again(tmp_path):
    ledger = Ledger(tmp_path, 4, 2, JsonLines())
    for row in range(4):
        ledger.add(row, b"x")
    (tmp_path / "rows-00001.jsonl").write_bytes(b"")
    assert list(Ledger(tmp_path, 4, 2, JsonLines()).missing()) == [2, 3]


def test_stopped_and_gone_on_is_the_same_as_undisturbed(tmp_path):
    held = entries(23, n4="refuse", n9="break")
    work_off(Ledger(tmp_path / "whole", 23, 5, JsonLines()), held, Loop(job()))

    class Stopping(Loop):
        def results(self, entries, todo):
            for number, each in enumerate(super().results(entries, todo)):
                if number == 6:
                    raise KeyboardInterrupt
                yield each

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            work_off(Ledger(tmp_path / "stopped", 23, 5, JsonLines()), held, Stopping(job()))
    outcome = work_off(Ledger(tmp_path / "stopped", 23, 5, JsonLines()), held, Loop(job()))
    assert (outcome.total, outcome.made) == (23, 11)
    assert rows(tmp_path / "stopped") == rows(tmp_path / "whole")
    found = rows(tmp_path / "whole")
    assert [row["id"] for row in found] == [entry.id for entry in held]
    assert found[4]["error"] == "a surface mesh is needed" and found[9]["error"] == "ValueError: no such thing"


def test_the_folder_of_another_run_is_refused(tmp_path):
    settings = CollectionSettings(input="x", out=tmp_path)
    other = CollectionSettings(input="x", out=tmp_path, detail=0.7)
    with claimed(tmp_path, settings.manifest(entries(3), "a"), False):
        again = claimed(tmp_path, settings.manifest(entries(3), "a"), False)
        with pytest.raises(UserError, match="another process writes into"), again:
            pass
    with claimed(tmp_path, settings.manifest(entries(3), "a"), False):
        pass
    for manifest, what in ((other.manifest(entries(3), "a"), "detail"), (settings.manifest(entries(4), "a"), "input")):
        with pytest.raises(UserError, match=f"holds rows of another {what}"), claimed(tmp_path, manifest, False):
            pass
    (tmp_path / "rows-00000.parquet").touch()
    with claimed(tmp_path, other.manifest(entries(3), "a"), True):
        assert not list(tmp_path.glob("rows-*"))


# --- one worker ------------------------------------------------------------------------------------


def test_a_mesh_over_its_limits_or_that_kills_its_process_is_a_row(tmp_path):
    held = entries(9, n1="sleep 60", n3="grow 1", n5="die", n6=f"once {tmp_path / 'once'}", n7="refuse")
    hasty, small = Guard(job(seconds=3)), Guard(job(memory=0.5))
    found = [unpack((hasty if number < 3 else small).work(entry)[1]) for number, entry in enumerate(held)]
    hasty.close()
    small.close()
    errors = {number: row["error"] for number, row in enumerate(found) if row["error"]}
    assert errors == {
        1: "over the limit of 3 s",
        3: "over the limit of 0.5 GiB",
        5: f"the worker's process died of it, twice (signal {int(signal.SIGSEGV)})",
        7: "a surface mesh is needed",
    }
    assert found[1]["seconds"] >= 3 and found[3]["memory_mib"] > 512
    assert found[8]["seconds"] < found[1]["seconds"] and 0 < found[8]["memory_mib"] < 512


def test_networks_are_loaded_once(tmp_path):
    guard = Guard(job(log=str(tmp_path / "log")))
    for entry in entries(4):
        guard.work(entry)
    guard.close()
    assert len({line.split()[1] for line in (tmp_path / "log").read_text().splitlines()}) == 1


def test_a_worker_that_cannot_start_says_why():
    with pytest.raises(UserError, match="no worker could be started: the weights are damaged"):
        Guard(job(broken=True)).start()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_process_of_a_worker_ends_with_who_watches_it(tmp_path):
    log = tmp_path / "log"
    watcher = os.fork()
    if not watcher:
        Guard(job(log=str(log))).work(Entry("a", "work:sleep 60"))
        os._exit(0)
    deadline = time.monotonic() + 60
    while not (log.exists() and log.read_text().endswith("\n")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process = int(log.read_text().split()[1])
    os.kill(watcher, signal.SIGKILL)
    os.waitpid(watcher, 0)
    while Path(f"/proc/{process}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{process}").exists()


# --- works -----------------------------------------------------------------------------------------


class Chain(PartTree):
    """Five leaves that join one after another."""

    def __init__(self) -> None:
        super().__init__(np.array([[0, 1], [5, 2], [6, 3], [7, 4]]), np.array([0.2, 0.5, 0.6, 0.95]))

    labels = membership = alike = info = None  # type: ignore[assignment]


Chain.__abstractmethods__ = frozenset()  # type: ignore[attr-defined]


def test_joins_lead_from_the_finest_pieces_to_the_whole():
    assert joins(Chain(), [3, 5, 2, 4]) == [(2, 3, 0.5), (5, 1, 0.6), (6, 4, 0.95)]
    assert joins(Chain(), [5, 2, 4]) == [(1, 2, 0.5), (4, 3, 0.95)]  # no polygon in leaf 3


def test_instant_answers_are_those_of_the_command_line(tmp_path):
    shutil.copy(HAMMER, tmp_path / "my.obj")
    work = Answers(kind="instant")
    row = work(Entry("a", str(tmp_path / "my.obj"), "5141 -10795"))
    answer = open_segmenter(load_mesh(HAMMER), "instant").segment(clicks=Clicks.from_signed(["5141", "-10795"]))
    assert np.array_equal(row["labels"], answer.selected) and 0 < row["labels"].sum() < row["vertices"]
    assert np.array_equal(row["ladder"] > row["ladder"].max() - 1 - row["rung"], answer.selected)
    for clicks, said in (
        ("999999", "vertex 999999 is not on this mesh"),
        ("", "no positive click"),
        ("x", "not a vert"),
    ):
        with pytest.raises(UserError, match=said):
            work(Entry("a", str(tmp_path / "my.obj"), clicks))


@pytest.mark.slow
def test_parts_are_those_of_the_script(tmp_path):
    from models.proposals import ProposalSettings, propose
    from utils.files import load_npz

    row = Parts()(Entry("a", str(HAMMER)))
    propose(ProposalSettings(obj_path=HAMMER, out=tmp_path))
    assert np.array_equal(row["labels"], load_npz(tmp_path / "labels.npz")["labels"])
    tree, pieces = json.loads(row["tree"]), int(row["ladder"].max())
    assert len(tree) == pieces - 1 and row["parts"] == len(row["quality"]) == row["labels"].max()


@pytest.mark.slow
def test_answers_of_the_prior_and_caches_are_those_of_the_page(tmp_path):
    shutil.copy(HAMMER, tmp_path / "my.obj")
    entry = Entry("a", str(tmp_path / "my.obj"), "5141")
    found, packed = answered(make("ready", folder=str(tmp_path / "ready")), entry)
    assert found and unpack(packed)["faces"] == load_mesh(HAMMER).num_polygons
    cache = OutputFolder(tmp_path / "ready").path("my", "prior")
    written = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    segmenter = open_segmenter(load_mesh(entry.path), "prior", cache_dir=cache)
    assert written and written == {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    found, packed = answered(make("answers"), entry)
    row, clicks = unpack(packed), Clicks.from_signed(["5141"])
    assert found and np.array_equal(row["labels"], segmenter.segment(clicks=clicks).selected)
    assert row["ladder"].max() == len(row["quality"]) > row["rung"] >= 0


# --- the command line ------------------------------------------------------------------------------


def test_what_is_missing_or_wrong_is_said_before_work_begins(tmp_path, monkeypatch):
    settings = CollectionSettings(input=str(tmp_path), out=tmp_path / "out")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match="install_environment.sh --collection"):
        run_collection(settings)
    monkeypatch.setattr(run, "arrow_and_parquet", lambda: None)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match="Ray.*install_environment.sh --collection"):
        run_collection(settings)
    monkeypatch.setattr(cluster, "ray_module", lambda: None)
    with pytest.raises(UserError, match="holds no mesh"):
        run_collection(settings)
    for address, said in (("127.0.0.1:1", "no Ray cluster answers"), ("head", "neither local nor HOST:PORT")):
        with pytest.raises(UserError, match=said):
            cluster.RayPool.connect(job(), address)


def test_a_server_that_is_no_cluster_is_said_at_once():
    def refuse(server):
        connection, _ = server.accept()
        connection.recv(1024)
        connection.sendall(b"HTTP/1.0 400 Bad request\r\n\r\n")
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=refuse, args=(server,), daemon=True).start()
        with pytest.raises(UserError, match="is no Ray cluster"):
            cluster._require_reachable(f"127.0.0.1:{server.getsockname()[1]}")


def test_the_command_line_says_what_it_did(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(collection, "run_collection", lambda *_: run.Outcome(1200, 7, 2))
    assert collection.main(["--input", "x", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("1,200 rows; 7 made now, 2 of them without an answer\n")
    with pytest.raises(UserError, match="--seconds 0 must be above 0"):
        collection.main(["--input", "x", "--out", str(tmp_path), "--seconds", "0"])


def test_lines_tell_the_rate_and_the_time_left(capsys):
    lines = Lines(every=0.0)
    lines(Step("meshes", 100, 400, "mesh"))
    lines._began -= 10
    lines(Step("meshes", 200, 400, "mesh", "3 failed"))
    said = capsys.readouterr().out.splitlines()
    assert said[-1].startswith("meshes: 200 of 400, 10 mesh a second, 20 s left, 3 failed")


def test_manifests_of_csv_may_be_written_by_csv(tmp_path):
    with open(tmp_path / "m.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, ("path", "clicks"))
        writer.writeheader()
        writer.writerow({"path": "a,b.obj", "clicks": "1 -2"})
    assert read_entries(str(tmp_path / "m.csv")) == [Entry("a,b.obj", str(tmp_path / "a,b.obj"), "1 -2")]
