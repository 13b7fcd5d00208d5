"""Random shapes composed of primitives, with a part hierarchy known by construction."""

from utils.shapes.builder import Builder, LabelledMesh, compose
from utils.shapes.generate import FAMILIES, random_shape

__all__ = ["FAMILIES", "Builder", "LabelledMesh", "compose", "random_shape"]
