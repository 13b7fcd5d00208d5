"""The house: imports go one way, nothing imports a script, and no function or file grows out of hand."""

from __future__ import annotations

import ast
import gc
import subprocess
import sys
from pathlib import Path

import pytest

from utils.errors import run_cli

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("utils", "models", "SAM_repo", "scripts")
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")) + sorted(ROOT.glob("*.py"))
LONGEST_FUNCTION, LONGEST_FILE, WIDEST_LINE = 60, 400, 120


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def trees() -> dict[str, ast.Module]:
    """Every file that is not a test, parsed."""
    return {_name(path): ast.parse(path.read_text()) for path in FILES}


def _imported(tree: ast.Module) -> set[str]:
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}


def test_rooms_are_entered_from_above():
    """The contract in pyproject.toml."""
    command = [str(Path(sys.executable).with_name("lint-imports"))]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout[-2000:]


def test_nothing_imports_a_script(trees):
    scripts = {"scripts"} | {path.stem for path in ROOT.glob("*.py")}
    for name, tree in trees.items():
        reached = {module for module in _imported(tree) if module.split(".")[0] in scripts}
        assert not reached, f"{name} imports {reached}"


def test_no_script_edits_where_python_looks_for_modules(trees):
    for name, tree in trees.items():
        edits = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.path"]
        assert not edits, f"{name} edits sys.path"


def test_command_lines_stop_in_main(trees):
    """A `Namespace` is taken apart where it was parsed: utils/options.py, and a door that has subcommands."""
    for name, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name != "main" and name != "utils/options.py":
                hints = [ast.unparse(each.annotation) for each in node.args.args if each.annotation]
                assert not any("Namespace" in hint for hint in hints), f"{name}: {node.name} is handed a Namespace"


def test_nothing_probes_for_capabilities(trees):
    for name, tree in trees.items():
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "hasattr"]
        assert not calls, f"{name} asks hasattr in line {calls[0].lineno}"


def test_functions_and_files_can_be_read_on_a_screen(trees):
    for name, tree in trees.items():
        lines = (ROOT / name).read_text().splitlines()
        assert len(lines) <= LONGEST_FILE, f"{name} has {len(lines)} lines"
        wide = [number for number, line in enumerate(lines, 1) if len(line) > WIDEST_LINE]
        assert not wide, f"{name} is too wide in lines {wide}"
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = (node.end_lineno or 0) - node.lineno + 1
                assert count <= LONGEST_FUNCTION, f"{name}: {node.name} has {count} lines"


def test_the_stages_start_without_torchvision():
    """It takes several seconds and brings the compiler of torch; SAM's automatic masks alone need it."""
    command = "import sys, encoder, data_generation, decoder, scripts.pipeline; sys.exit('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], cwd=ROOT).returncode == 0


def test_a_script_looks_for_garbage_once_it_runs():
    found: list[bool] = []
    gc.disable()  # as `utils.startup` does before the imports
    try:
        with pytest.raises(SystemExit):
            run_cli(lambda: found.append(gc.isenabled()))
    finally:
        gc.enable()
        gc.unfreeze()
    assert found == [True]
