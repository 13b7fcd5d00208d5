"""What the README promises can be run as it stands there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from decoder import DecoderSettings
from interactive import InteractiveSettings
from models.iseg.click_stage import SupervisionSettings
from models.iseg.encoder_stage import EncoderSettings
from models.iseg3d.query import AnswerSettings
from models.pipeline import PipelineSettings
from models.proposals import ProposalSettings
from utils.options import parse_settings

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
DOORS = {
    "encoder.py": EncoderSettings,
    "data_generation.py": SupervisionSettings,
    "decoder.py": DecoderSettings,
    "iseg3d.py": AnswerSettings,
    "interactive.py": InteractiveSettings,
    "scripts/pipeline.py": PipelineSettings,
    "scripts/parts.py": ProposalSettings,
}


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def _commands() -> list[list[str]]:
    """Every call of one of our scripts, its variables filled in."""
    text = "\n".join(_blocks("bash")).replace("\\\n", " ").replace("$M", "--obj_path meshes/hammer.obj")
    lines = [line for line in text.splitlines() if line.startswith(".venv/bin/python ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


def test_readme_is_short():
    lines = README.splitlines()
    assert len(lines) <= 100
    assert len(_blocks("python")[0].splitlines()) <= 8


def test_python_of_the_readme_answers_and_exports(tmp_path):
    shutil.copy(ROOT / "meshes" / "camel.obj", tmp_path / "my.obj")
    code = _blocks("python")[0]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, timeout=300)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "selection_v120_v-45.glb",
        "selection_v120_v-45.seg",
    }


@pytest.mark.parametrize("command", _commands(), ids=lambda command: " ".join(command[:3]))
def test_commands_of_the_readme_are_understood(command):
    """Every option is one that the script has, with a value that it takes."""
    settings = parse_settings(DOORS[command[0]], None, command[1:])
    assert settings.obj_path.suffix == ".obj"


@pytest.mark.parametrize("script", ("decoder.py", "iseg3d.py"))
def test_queries_of_the_readme_answer(script, tmp_path):
    """Those that need no training, from another folder, as a process of their own."""
    command = next(
        c for c in _commands() if (c[0] == script and "--select_vertices" in c) or c[0] == script == "iseg3d.py"
    )
    shutil.copytree(ROOT / "meshes", tmp_path / "meshes", ignore=lambda _, names: set(names) - {"hammer.obj"})
    shutil.copy(tmp_path / "meshes" / "hammer.obj", tmp_path / "my.obj")
    subprocess.run([sys.executable, str(ROOT / script), *command[1:]], cwd=tmp_path, check=True, timeout=300)
    assert list(tmp_path.glob("experiments/*/*/selection_*.seg"))


def _anchors(page: Path) -> set[str]:
    """What a link may name on a page of Markdown: its headings, as GitHub writes them, and what has an id."""
    text = page.read_text()
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), flags=re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)"', text))


@pytest.mark.parametrize(
    "page", [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))], ids=lambda path: path.name
)
def test_links_lead_somewhere(page):
    """To files, and to the section that they name."""
    broken = []
    for link in set(re.findall(r"\]\(([^)\s]+)\)", page.read_text())):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if "://" not in link and not (target.exists() and (not anchor or anchor in _anchors(target))):
            broken.append(link)
    assert not broken
