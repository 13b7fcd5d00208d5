"""The unmodified networks of `segment-anything`, without its predictor and mask generator.

Those import torchvision, and it the compiler of torch: over a second before anything is done, which no query needs.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import TYPE_CHECKING

PACKAGE = "segment_anything"

if TYPE_CHECKING:
    from segment_anything.build_sam import sam_model_registry
    from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer


def _only(module: str) -> ModuleType:
    """A module of the package, without running the package's own `__init__`; who imports that later gets all of it."""
    spec = None if PACKAGE in sys.modules else find_spec(PACKAGE)
    if spec is None:
        return import_module(f"{PACKAGE}.{module}")
    sys.modules[PACKAGE] = module_from_spec(spec)
    try:
        return import_module(f"{PACKAGE}.{module}")
    finally:
        del sys.modules[PACKAGE]


if not TYPE_CHECKING:
    sam_model_registry = _only("build_sam").sam_model_registry
    _modeling = _only("modeling")
    Sam, MaskDecoder, PromptEncoder = _modeling.Sam, _modeling.MaskDecoder, _modeling.PromptEncoder
    TwoWayTransformer = _modeling.TwoWayTransformer

__all__ = ["MaskDecoder", "PromptEncoder", "Sam", "TwoWayTransformer", "sam_model_registry"]
