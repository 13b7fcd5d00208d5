"""Decoder stage: train on click supervision, or answer clicks with a trained decoder (paper Sec. 3.2, 3.3)."""

from __future__ import annotations

import time
from dataclasses import dataclass

import utils.startup  # noqa: F401
from models.iseg.decoder_stage import TrainingSettings, train_decoder
from models.iseg.segmenter import PRECISIONS
from models.open import open_segmenter
from models.prior.refinement import refine
from utils.errors import UserError, run_cli
from utils.geometry.mesh import load_mesh
from utils.options import option, parse_settings
from utils.output.query import QuerySettings
from utils.progress import Bars
from utils.segmenter import answer_query


@dataclass(frozen=True, kw_only=True)
class DecoderSettings(TrainingSettings, QuerySettings):
    """Training and query in one command line, as published."""

    mode: str = option(
        "train", "train a decoder, or answer clicks", choices=("train", "test"), group="what to do and where"
    )
    init: str | None = option(
        None,
        "prior: refine the decoder shipped for all meshes; scratch: the paper's training; default: prior, but scratch "
        "where --encoder_f_path, --architecture, --loss, --num_epochs, --steps, --batch_size or --learning_rate "
        "describe the latter",
        choices=("prior", "scratch"),
        group="training",
    )
    segmenter: str = option(
        "auto",
        "trained: this mesh's own decoder; prior: the one shipped for all meshes; auto: its own if it has one",
        choices=("auto", "trained", "prior"),
        group="segmenter",
    )
    precision: str = option("exact", "auto: the fastest that the processor offers", choices=PRECISIONS)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.init == "prior" and self.describes_scratch:
            raise UserError(
                "--architecture, --loss, --num_epochs, --steps, --batch_size and --learning_rate are of the paper's "
                "training: leave them out, or give --init scratch"
            )

    @property
    def describes_scratch(self) -> bool:
        training = (self.steps, self.batch_size, self.learning_rate)
        return any(value is not None for value in (self.architecture, self.loss, self.num_epochs, *training))

    @property
    def from_scratch(self) -> bool:
        """Is the paper's training meant, and not the refinement of the prior?"""
        described = self.describes_scratch or self.encoder_f_path is not None
        return self.init == "scratch" or (self.init is None and described)

    @property
    def kind(self) -> str:
        """What answers. Who names the decoder's files means them: there is no silent answer from another then."""
        named = self.encoder_f_path is not None or self.model_name is not None
        missing = not self.checkpoint.is_file() and not named
        return "prior" if self.segmenter == "prior" or (self.segmenter == "auto" and missing) else "trained"


def main(argv: list[str] | None = None) -> int:
    settings = parse_settings(DecoderSettings, __doc__, argv)
    if settings.mode == "test":
        answer(settings)
    elif settings.from_scratch:
        train_decoder(settings, Bars())
    else:
        refine(settings, Bars())
    return 0


def answer(settings: DecoderSettings) -> None:
    """Answer one set of clicks and write what it selects."""
    mesh = load_mesh(settings.obj_path)
    settings.clicks.validate(mesh.num_vertices)
    started = time.perf_counter()
    segmenter = open_segmenter(
        mesh,
        settings.kind,
        checkpoint=settings.checkpoint,
        features=settings.features,
        device=settings.device,
        precision=settings.precision,
        cache_dir=settings.directory / "prior",
    )
    answer_query(segmenter, settings, settings.directory, time.perf_counter() - started, settings.renderer)


if __name__ == "__main__":
    run_cli(main)
