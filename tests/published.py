"""The published decoder in NumPy, float64, vertex by vertex: an independent reference (paper Eqs. 4-6, appendix D)."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

WIDTHS = [512] + [256] * 14


def random_release(
    directory: Path, num_vertices: int, seed: int = 0, prefix: str = ""
) -> tuple[Path, Path, dict, np.ndarray]:
    """Random weights saved as the authors save theirs: pred_f.pth and decoder_checkpoint.pth.

    prefix: "module." as saved from several GPUs. Returns both paths, the weights by published name and the features.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    attention = {}
    for name in ("W_Q", "W_Kp", "W_Kn", "W_Vp", "W_Vn"):
        attention[f"{name}.weight"], attention[f"{name}.bias"] = draw(256, 256) / 16, 0.1 * draw(256)
    model, inputs = {}, 512
    for layer, width in enumerate(WIDTHS):
        model[f"mlp.{3 * layer}.weight"], model[f"mlp.{3 * layer}.bias"] = (
            draw(width, inputs) / math.sqrt(inputs),
            0.1 * draw(width),
        )
        model[f"mlp.{3 * layer + 2}.weight"], model[f"mlp.{3 * layer + 2}.bias"] = (
            1 + 0.1 * draw(width),
            0.1 * draw(width),
        )
        inputs = width
    model["mlp.45.weight"], model["mlp.45.bias"] = draw(2, 256) / 16, 0.1 * draw(2)
    features = torch.tanh(draw(num_vertices, 256))
    features_path, checkpoint_path = directory / "pred_f.pth", directory / "decoder_checkpoint.pth"
    torch.save(features, features_path)
    torch.save(
        {
            "attention_state_dict": {prefix + name: value for name, value in attention.items()},
            "model_state_dict": {prefix + name: value for name, value in model.items()},
            "optimizer_state_dict": {"state": {}, "param_groups": []},
            "epoch": 4,
            "batch_idx": 7,
            "shuffled_indices": [2, 0, 1],
            "losses": [0.5, 0.25],
            "num_batch": 8,
        },
        checkpoint_path,
    )
    weights = {name: value.double().numpy() for name, value in (attention | model).items()}
    return features_path, checkpoint_path, weights, features.double().numpy()


def probability(weights: dict, features: np.ndarray, positives: list[int], negatives: list[int]) -> np.ndarray:
    """(V,) probability of being selected, by explicit loops."""
    clicks = [(vertex, "p") for vertex in positives] + [(vertex, "n") for vertex in negatives]
    return np.array([_vertex(weights, features, feature, clicks) for feature in features])


def _vertex(weights: dict, features: np.ndarray, feature: np.ndarray, clicks: list[tuple[int, str]]) -> float:
    query = _affine(weights, "W_Q", feature)
    scores = [
        float(query @ _affine(weights, "W_K" + kind, features[vertex])) / math.sqrt(256) for vertex, kind in clicks
    ]
    exponentials = [math.exp(score - max(scores)) for score in scores]
    conditioned = np.zeros(256)
    for exponential, (vertex, kind) in zip(exponentials, clicks):
        conditioned += exponential / sum(exponentials) * _affine(weights, "W_V" + kind, features[vertex])
    hidden = np.concatenate([feature, conditioned])
    for layer in range(15):
        hidden = np.maximum(_affine(weights, f"mlp.{3 * layer}", hidden), 0)
        deviation = hidden - hidden.mean()
        normal = deviation / math.sqrt((deviation**2).mean() + 1e-5)
        hidden = normal * weights[f"mlp.{3 * layer + 2}.weight"] + weights[f"mlp.{3 * layer + 2}.bias"]
    background, selected = _affine(weights, "mlp.45", hidden)
    return 1 / (1 + math.exp(background - selected))


def _affine(weights: dict, name: str, inputs: np.ndarray) -> np.ndarray:
    return weights[f"{name}.weight"] @ inputs + weights[f"{name}.bias"]
