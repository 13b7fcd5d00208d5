"""Colours of everything that is drawn, and the options that choose them; imports next to nothing."""

from __future__ import annotations

from dataclasses import dataclass

from utils.options import Checked, Color, color_option, option

# RGB in [0, 1], as in the paper's figures: grey shape, blue selection, green and red clicks.
BASE_COLOR: Color = (0.67, 0.67, 0.67)
SELECTION_COLOR: Color = (0.16, 0.40, 0.86)
POSITIVE_COLOR: Color = (0.10, 0.75, 0.20)
NEGATIVE_COLOR: Color = (0.90, 0.10, 0.10)
SPHERE_RADIUS = 0.02  # normalised units: the shape has radius 1


@dataclass(frozen=True)
class Palette:
    """RGB in [0, 1] of everything that is drawn."""

    base: Color = BASE_COLOR
    selected: Color = SELECTION_COLOR
    positive: Color = POSITIVE_COLOR
    negative: Color = NEGATIVE_COLOR


PALETTE = Palette()


@dataclass(frozen=True, kw_only=True)
class Colors(Checked):
    """Of everything that is drawn, RGB from 0 to 1, and the normalised radius of the clicks' spheres."""

    sphere_radius: float = option(
        SPHERE_RADIUS, "of the clicks, normalised; the object has radius 1", within="(0, 10]", group="colours"
    )
    base_color: Color = color_option(Palette.base)
    seg_color: Color = color_option(Palette.selected)
    pos_color: Color = color_option(Palette.positive)
    neg_color: Color = color_option(Palette.negative)

    @property
    def palette(self) -> Palette:
        return Palette(self.base_color, self.seg_color, self.pos_color, self.neg_color)
