"""The stages' arguments for one mesh: the paper's optimisation in a fast setting for any machine and as published, and the prior refined."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from utils.files import digest

PRESETS = ("fast", "refine", "paper")

# fast: few views, evenly spread and shared by both stages; lifted loss; a decoder that also sees the clicks' geometry.
# refine: the decoder shipped for all meshes, refined on this one; it needs no feature field and fewer clicks.
# paper: as published, with views of their own for either stage.
_VIEWS = {
    "fast": ["--view_sampling", "sphere", "--n_views", "96"],
    "refine": ["--view_sampling", "sphere", "--n_views", "96"],
    "paper": ["--view_sampling", "front", "--n_views", "1000"],
}
_FIELD = {
    "fast": ["--distillation", "collapsed"],
    "refine": [],
    "paper": ["--distillation", "rendered", "--num_epochs", "3"],
}
_CLICKS = {
    "fast": [
        "--percentage",
        "0.03",
        "--max_clicks",
        "250",
        "--n_views",
        "24",
        "--share_pairs",
        "1",
        "--pair_views",
        "4",
        "--max_pairs",
        "3",
        "--refinements",
        "1",
    ],
    "refine": [
        "--percentage",
        "0.03",
        "--max_clicks",
        "100",
        "--n_views",
        "16",
        "--share_pairs",
        "1",
        "--pair_views",
        "4",
        "--max_pairs",
        "1",
        "--refinements",
        "1",
    ],
    "paper": ["--percentage", "0.03", "--n_views", "100"],
}
_DECODER = {
    "fast": ["--init", "scratch", "--architecture", "geometric", "--loss", "lifted", "--steps", "700"],
    "refine": ["--init", "prior"],
    "paper": ["--init", "scratch", "--architecture", "published", "--loss", "rendered", "--num_epochs", "5"],
}


def preset_digest(preset: str) -> str:
    """Identifies the settings behind a preset's name: results that were made with others are not to be taken for these."""
    return digest(*(" ".join(arguments[preset]) for arguments in (_VIEWS, _FIELD, _CLICKS, _DECODER)))


@dataclass(frozen=True)
class Run:
    """One mesh through all stages.

    mesh, directory   the mesh file, and the folder of everything that is written
    name              of the mesh
    preset            one of `PRESETS`
    teacher           for --SAM
    device, renderer  as the stages take them
    seed              of every stage
    overwrite         start over instead of resuming
    """

    mesh: Path
    directory: Path
    name: str
    preset: str = "fast"
    teacher: str = "auto"
    device: str = "auto"
    renderer: str = "auto"
    seed: int = 0
    overwrite: bool = False

    @property
    def views(self) -> Path:
        return self.directory / "encoder_data"

    @property
    def encoder(self) -> Path:
        return self.directory / "encoder"

    @property
    def features(self) -> Path:
        return self.encoder / "pred_f.pth"

    @property
    def clicks(self) -> Path:
        return self.directory / "decoder_data"

    @property
    def decoder(self) -> Path:
        return self.directory / "decoder"

    @property
    def needs_field(self) -> bool:
        """Whether the decoder reads a feature field of the mesh."""
        return self.preset != "refine"

    @property
    def checkpoint_name(self) -> str:
        return "decoder_checkpoint.pth"

    def encoder_arguments(self, views: bool = True, training: bool = True) -> list[str]:
        """For encoder.py: render and embed the views, train the field, or both."""
        return [
            *self._common(),
            *self._rendering(),
            "--name",
            self.name,
            "--encoder_data_dir",
            str(self.views),
            "--encoder_model_dir",
            str(self.encoder),
            "--generate_random_views",
            _bit(views),
            "--start_training",
            _bit(training and self.needs_field),
            *_VIEWS[self.preset],
            *_FIELD[self.preset],
        ]

    def click_arguments(self) -> list[str]:
        """For data_generation.py: single clicks and second clicks of both signs."""
        shared = ["--encoder_data_dir", str(self.views)] if self.preset != "paper" else []
        return [
            *self._common(),
            *self._rendering(),
            "--name",
            self.name,
            "--decoder_data_dir",
            str(self.clicks),
            *shared,
            "--single_click",
            "1",
            "--second_positive",
            "1",
            "--second_negative",
            "1",
            *_CLICKS[self.preset],
        ]

    def decoder_arguments(self) -> list[str]:
        """For decoder.py: train."""
        return [
            *self._common(),
            *self._decoder_files(),
            "--mode",
            "train",
            "--decoder_data_dir",
            str(self.clicks),
            "--use_positive_click",
            "1",
            "--use_negative_click",
            "1",
            *_DECODER[self.preset],
        ]

    def query_arguments(self, clicks: list[str]) -> list[str]:
        """For decoder.py: answer clicks in the published signed notation, with the hard selection."""
        return [
            *self._common(overwrite=False),
            *self._decoder_files(),
            "--mode",
            "test",
            "--hard",
            "1",
            "--show_spheres",
            "1",
            "--select_vertices",
            *clicks,
        ]

    def _decoder_files(self) -> list[str]:
        return [
            "--encoder_f_path",
            str(self.features),
            "--save_dir",
            str(self.decoder),
            "--model_name",
            self.checkpoint_name,
        ]

    def _common(self, overwrite: bool = True) -> list[str]:
        start_over = ["--overwrite", "1"] if overwrite and self.overwrite else []
        return ["--obj_path", str(self.mesh), "--seed", str(self.seed), "--device", self.device, *start_over]

    def _rendering(self) -> list[str]:
        return ["--renderer", self.renderer, "--SAM", self.teacher]


def _bit(value: bool) -> str:
    return "1" if value else "0"
