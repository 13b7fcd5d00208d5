"""Collections on Ray: one machine, two machines, workers and machines that vanish, a driver that is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from models.collection.cluster import RayPool
from models.collection.ledger import Ledger
from models.collection.manifest import Entry
from models.collection.rows import COLUMNS, MEASURED, Shards
from models.collection.run import Loop, work_off
from models.collection.virtual import VirtualSettings, simulate
from tests.collection_works import entries, job
from utils.errors import UserError

pytest.importorskip("ray", reason="Ray is not installed: bash install_environment.sh --collection")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "scripts" / "collection.py"
COUNT, SHARD = 40, 7
ORDERS = {"n4": "refuse", "n9": "break", "n13": "die", "n21": "sleep 60"}  # some meshes fail
LIMIT = 3.0  # seconds for a mesh


def rows(folder: Path) -> list[dict]:
    """What does not depend on how fast it was."""
    kept = [name for name in COLUMNS if name not in MEASURED]
    return list(Shards().read(folder, kept))


def ledger(folder: Path, count: int = COUNT) -> Ledger:
    return Ledger(folder, count, SHARD, Shards())


def asked(log: Path) -> Counter[str]:
    """How often each mesh was begun."""
    return Counter(line.split()[0] for line in log.read_text().splitlines())


def again(log: Path) -> Counter[str]:
    """The meshes that were begun more than once, without the one that kills its process: that is tried twice anyhow."""
    more = asked(log) - Counter(entry.id for entry in entries(COUNT))
    del more[entries(COUNT)[13].id]
    return more


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Rows of one worker on this machine."""
    folder = tmp_path_factory.mktemp("expected")
    work_off(ledger(folder), entries(COUNT, **ORDERS), RayPool.connect(job(LIMIT), "local", 1))
    found = rows(folder)
    assert [row["id"] for row in found] == [entry.id for entry in entries(COUNT)]
    assert [number for number, row in enumerate(found) if row["error"]] == [4, 9, 13, 21]
    return found


@pytest.fixture
def cluster():
    """Two machines of one core each, both on this one."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.other = cluster.add_node(num_cpus=1)  # type: ignore[attr-defined]
    yield cluster
    cluster.shutdown()


def test_a_plain_loop_finds_the_same_rows(tmp_path, expected):
    held = entries(COUNT, n4="refuse", n9="break")
    work_off(ledger(tmp_path), held, Loop(job()))
    same = [place for place in range(COUNT) if place not in (13, 21)]
    found = rows(tmp_path)
    assert [found[place] for place in same] == [expected[place] for place in same]


def test_two_workers_find_the_rows_of_one(tmp_path, expected):
    work_off(ledger(tmp_path), entries(COUNT, **ORDERS), RayPool.connect(job(LIMIT), "local", 2))
    assert rows(tmp_path) == expected


def test_two_machines_find_the_rows_of_one_worker(tmp_path, expected, cluster):
    pool = RayPool.connect(job(LIMIT), cluster.address)
    assert pool.workers == 2
    work_off(ledger(tmp_path), entries(COUNT, **ORDERS), pool)
    assert rows(tmp_path) == expected


@pytest.mark.parametrize("at", (5, COUNT - 2))
def test_a_machine_that_is_lost_costs_what_was_in_flight(tmp_path, expected, cluster, at):
    log = tmp_path / "log"
    pool = RayPool.connect(job(LIMIT, log=str(log), pause=0.2), cluster.address)

    class Losing:
        def results(self, entries, todo):
            for number, each in enumerate(pool.results(entries, todo), start=1):
                yield each
                if number == at:
                    cluster.remove_node(cluster.other, allow_graceful=False)

    outcome = work_off(ledger(tmp_path), entries(COUNT, **ORDERS), Losing())
    assert (outcome.made, outcome.failed) == (COUNT, 4)
    assert rows(tmp_path) == expected
    assert again(log).total() <= 1  # of the lost machine


def test_a_worker_that_is_killed_costs_what_was_in_flight(tmp_path, expected):
    import ray

    log = tmp_path / "log"
    pool = RayPool.connect(job(LIMIT, log=str(log), pause=0.05), "local", 2)

    class Killing:
        def results(self, entries, todo):
            for number, each in enumerate(pool.results(entries, todo), start=1):
                yield each
                if number in (6, 20):
                    ray.kill(next(reversed(pool._actors.values())))

    work_off(ledger(tmp_path), entries(COUNT, **ORDERS), Killing())
    assert rows(tmp_path) == expected


def test_a_driver_that_is_killed_costs_what_was_in_flight(tmp_path, expected):
    out, log = tmp_path / "out", tmp_path / "log"
    command = [sys.executable, "-m", "tests.collection_works", str(out), str(log), json.dumps(ORDERS)]
    for at in (5, 17):
        driver = subprocess.Popen(command, cwd=ROOT, env=_environment(), start_new_session=True)
        _wait_for(lambda at=at: log.exists() and len(asked(log)) > at)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    done = ledger(out).done
    assert 5 <= done < COUNT
    subprocess.run(command, cwd=ROOT, env=_environment(), check=True, timeout=300)
    assert rows(out) == expected
    assert again(log).total() <= 2 * 2  # two workers, two kills


def test_a_collection_is_labelled_from_the_command_line(tmp_path):
    for name in ("teapot", "camel"):
        shutil.copy(ROOT / "meshes" / f"{name}.obj", tmp_path)
    (tmp_path / "no.obj").write_text("v 0 0 0\n")
    asked = {"teapot": "100 -200", "camel": "7", "no": "0"}
    lines = [{"id": name, "path": f"{name}.obj", "clicks": clicks} for name, clicks in asked.items()]
    lines.append({"id": "far", "path": "teapot.obj", "clicks": "999999"})
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    command = [sys.executable, str(SCRIPT), "--input", "m.jsonl", "--out", "out", "--work", "instant", "--workers", "1"]
    said = subprocess.run(command, cwd=tmp_path, env=_environment(), capture_output=True, text=True, timeout=300)
    assert said.returncode == 0, said.stderr
    assert "4 rows; 4 made now, 2 of them without an answer" in said.stdout and "a second" in said.stdout
    page = (tmp_path / "out" / "summary.html").read_text()
    assert page.count("<img ") == 2 and "vertex 999999 is not on this mesh" in page
    assert len(list((tmp_path / "out" / "pictures").iterdir())) == 2
    _require_readable(tmp_path / "out")
    repeated = subprocess.run(command, cwd=tmp_path, env=_environment(), capture_output=True, text=True, timeout=300)
    assert repeated.stdout.startswith("4 rows; 0 made now\n") or "\n4 rows; 0 made now\n" in repeated.stdout


def _require_readable(folder: Path) -> None:
    """By pyarrow, pandas and DuckDB alike."""
    duckdb, pandas = pytest.importorskip("duckdb"), pytest.importorskip("pandas")
    import pyarrow.parquet

    table = pyarrow.parquet.ParquetFile(next(folder.glob("rows-*.parquet"))).read()
    frame = pandas.read_parquet(folder / "rows-00000.parquet")
    query = f"select id, len(labels), list_sum(labels), error from '{folder}/rows-*.parquet' order by id"
    by_duckdb = duckdb.sql(query).fetchall()
    by_arrow = [
        (row["id"], row["labels"] and len(row["labels"]), row["labels"] and sum(row["labels"]), row["error"])
        for row in table.to_pylist()
    ]
    assert by_duckdb == by_arrow
    assert list(frame["id"]) == [row[0] for row in by_arrow] == ["camel", "far", "no", "teapot"]


@pytest.mark.parametrize(
    ("more", "expected"),
    (
        (("--input", ".", "--address", "127.0.0.1:1"), "no Ray cluster answers at 127.0.0.1:1"),
        (("--input", "m.csv"), "m.csv lacks the column path (it has id, file)"),
        (("--input", "twice.csv"), "twice.csv: the id '1' is there twice"),
        (("--input", ".", "--out", "other"), "other holds rows of another"),
    ),
)
def test_bad_input_is_one_line_before_work_begins(tmp_path, more, expected):
    shutil.copy(ROOT / "meshes" / "teapot.obj", tmp_path)
    (tmp_path / "m.csv").write_text("id,file\n1,teapot.obj\n")
    (tmp_path / "twice.csv").write_text("id,path\n1,teapot.obj\n1,teapot.obj\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "run.json").write_text('{"input": "x"}')
    command = [sys.executable, str(SCRIPT), "--out", "out", *more]
    said = subprocess.run(command, cwd=tmp_path, env=_environment(), capture_output=True, text=True, timeout=60)
    assert said.returncode == 2 and said.stderr.count("\n") == 1
    assert said.stderr.startswith("error: ") and expected in said.stderr


def test_a_simulation_keeps_every_row_and_repeats_itself(tmp_path):
    held = [Entry(f"{number}", str(ROOT / "meshes" / "teapot.obj")) for number in range(5)]
    work_off(Ledger(tmp_path / "measured", 5, 5, Shards()), held, Loop(job(pause=0.01)))
    for out, workers in (("one", 3), ("two", 50)):
        settings = VirtualSettings(measured=tmp_path / "measured", out=tmp_path / out, meshes=300, workers=workers)
        figures = simulate(settings)
        assert figures.rows == 300 and figures.rate > 0 and figures.output_gib > 0
    found = rows(tmp_path / "one")
    assert found == rows(tmp_path / "two") and len({row["id"] for row in found}) == 300
    assert len({str(row["labels"]) for row in found}) > 1
    with pytest.raises(UserError, match="is not empty"):
        simulate(settings)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def _wait_for(happened, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)
