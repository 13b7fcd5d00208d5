"""Command-line options, generated from the fields of settings dataclasses: names, defaults and help are written once.

@dataclass(frozen=True, kw_only=True)
class FieldSettings(MeshSettings):
    steps: int = option(400, "of the training", group="training", type=positive_int)

settings = parse_settings(FieldSettings, __doc__, argv)     # FieldSettings(steps=400, obj_path=..., ...)
"""

from __future__ import annotations

import argparse
import dataclasses
import types
import typing
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from utils.errors import UserError

Color = tuple[float, float, float]
TEACHERS = ("auto", "vit_h", "vit_l", "vit_b", "vit_t")
SEGMENTERS = ("prior", "trained", "instant")  # in the order in which they are offered
PRECISIONS = ("exact", "float32", "bfloat16", "auto")  # of a trained decoder
CHECKPOINT_NAME = "decoder_checkpoint.pth"
BACKENDS = ("auto", "embree", "kaolin")
Settings = TypeVar("Settings", bound="Checked")
MOST = 1 << 40  # no number here is larger in earnest
COUNT, COUNT_OR_NONE, RATE, SEED = "[1, 2147483647]", "[0, 2147483647]", "(0, 10]", "[0, 4294967295]"


# --- kinds of values -------------------------------------------------------------------------------


def flag(text: str) -> bool:
    """A published 0/1 switch; argparse reports anything else."""
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise argparse.ArgumentTypeError(f"'{text}' is neither 0 nor 1")


def positive_int(text: str) -> int:
    """A whole number of at least 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of at least 1")
    return value


def a_path(text: str) -> Path:
    """A path; argparse reports an empty one, which would mean the current folder."""
    if not text.strip():
        raise argparse.ArgumentTypeError("an empty path; give . for the current folder")
    return Path(text)


def given(**values: Any) -> dict[str, Any]:
    """Those values that are not None: what was left out keeps the default of whoever takes them."""
    return {name: value for name, value in values.items() if value is not None}


# --- from a dataclass to a parser and back ---------------------------------------------------------


@dataclass(frozen=True)
class Checked:
    """Base of all settings: their numbers are finite and within what `option` says, however they were made."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if "option" in field.metadata:
                within = field.metadata["within"]
                if within is None and field.metadata["option"].get("type") is positive_int:
                    within = COUNT
                _check(field.name, getattr(self, field.name), within)


def _check(name: str, value: Any, within: str | None) -> None:
    """UserError for a number, or one of several, that is not finite, beyond all sense, or outside of an interval."""
    if isinstance(value, tuple | list):
        for each in value:
            _check(name, each, within)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    if not -MOST < value < MOST:  # also for NaN
        raise UserError(f"--{name} {value} is no number that can be computed with; give a finite, smaller one")
    if within is not None:
        low, high = (float(end) for end in within[1:-1].split(","))
        if not low <= value <= high or (within[0] == "(" and value == low):
            at_most = f" and at most {high:g}" if high < MOST else ""
            raise UserError(
                f"--{name} {value:g} must be {'above' if within[0] == '(' else 'at least'} {low:g}{at_most}"
            )


def option(
    default: Any = MISSING, help: str = "", *, group: str | None = None, within: str | None = None, **how: Any
) -> Any:
    """A dataclass field that is an option of the command line.

    default  MISSING: the option is required
    group    heading in --help; None: that of the field before
    within   the interval of its numbers, "(0, 1]" or "[0, 1]"; without one they are finite
    how      what argparse is told besides its type: choices, metavar, nargs, type, const

    The type comes from the annotation: bool is a 0/1 switch, `tuple[float, float, float]` three numbers,
    `tuple[int, ...]` one or more. `X | None` is an option that may be left out.
    """
    return dataclasses.field(
        default=default, metadata={"option": {"help": help, **how}, "group": group, "within": within}
    )


def color_option(default: Color, group: str | None = None) -> Any:
    """An option of three numbers, RGB from 0 to 1."""
    return option(default, "0 to 1", group=group, within="[0, 1]", metavar=("R", "G", "B"))


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with a command line."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**{"formatter_class": HelpFormatter, **how})

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {' '.join(message.split())[:400]}; --help lists all options\n")


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Descriptions as they are written; defaults where there is something to say."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, (), []) else super()._get_help_string(action)


def add_options(parser: argparse.ArgumentParser, settings: type[Checked], without: tuple[str, ...] = ()) -> None:
    """Add an option for every field of a settings dataclass that was made by `option`, but for those named."""
    hints = typing.get_type_hints(settings)
    groups: dict[str, Any] = {}
    title = "options"
    for field in dataclasses.fields(settings):
        if "option" not in field.metadata:
            continue
        title = field.metadata["group"] or title
        if field.name in without:
            continue
        group = groups.setdefault(title, None) or parser.add_argument_group(title)
        groups[title] = group
        arguments = _kind(hints[field.name]) | field.metadata["option"]
        if field.default is MISSING:
            arguments["required"] = True
        else:
            arguments["default"] = field.default
        group.add_argument(f"--{field.name}", **arguments)


def settings_from(args: argparse.Namespace, settings: type[Settings], **given: Any) -> Settings:
    """The settings that parsed options describe; `given` values win. UserError for those that make no sense."""
    for field in dataclasses.fields(settings):
        if field.name not in given and "option" in field.metadata:
            value = getattr(args, field.name)
            given[field.name] = tuple(value) if isinstance(value, list) else value
    return settings(**given)


def part_of(settings: Any, kind: type[Settings]) -> Settings:
    """The settings of a narrower kind that wider ones include, by the names of the fields."""
    names = [field.name for field in dataclasses.fields(kind)]
    return kind(**{name: getattr(settings, name) for name in names})


def parse_settings(settings: type[Settings], description: str | None, argv: list[str] | None = None) -> Settings:
    """What an entry script does with its command line."""
    parser = Parser(description=description)
    add_options(parser, settings)
    return settings_from(parser.parse_args(argv), settings)


def _kind(hint: Any) -> dict[str, Any]:
    """What argparse must be told about values of a type."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        hint = next(kind for kind in typing.get_args(hint) if kind is not type(None))
    if typing.get_origin(hint) is tuple:
        kinds = typing.get_args(hint)
        return _kind(kinds[0]) | {"nargs": "+" if kinds[-1] is ... else len(kinds)}
    if hint is bool:
        return {"type": flag, "metavar": "0|1"}
    return {} if hint is str else {"type": a_path if hint is Path else hint}


# --- settings that several stages share ------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class MeshSettings(Checked):
    """One mesh, the seed of all randomness, and where the networks run (`utils.device.choose_device`)."""

    obj_path: Path = option(help="the mesh: OBJ, PLY, OFF, STL or GLB", metavar="FILE", group="mesh and run")
    seed: int = option(0, "of all randomness", within=SEED)
    device: str = option("auto", "auto, cpu or cuda; auto takes CUDA where there is a GPU")
    name: str | None = option(None, "of the mesh, in the default folders; default: the file's name")

    @property
    def mesh_name(self) -> str:
        return self.name or Path(self.obj_path).stem


@dataclass(frozen=True, kw_only=True)
class RenderSettings(Checked):
    """How views are rendered; the object has radius 1, colours are RGB from 0 to 1."""

    radius: float = option(2.0, "camera distance; the object has radius 1", within="(1, 100]", group="rendering")
    render_res: int = option(224, "side of the rendered square image", within="[16, 4096]", metavar="PX")
    background: Color = color_option((1.0, 1.0, 1.0))
    renderer: str = option("auto", "auto: kaolin with CUDA, else embree", choices=BACKENDS)


@dataclass(frozen=True, kw_only=True)
class TeacherSettings(Checked):
    """Which 2D model supervises."""

    SAM: str = option(
        "auto",
        "segmentation model that supervises; auto: the largest checkpoint present, else the embedded vit_t",
        choices=TEACHERS,
        group="teacher",
    )
