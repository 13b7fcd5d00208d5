"""A trained decoder with the features of its mesh: answers clicks (paper Sec. 3, at test time)."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, linear

from models.iseg.checkpoint import load_decoder_checkpoint, load_features, load_state, require_mesh
from models.iseg.click_geometry import ClickGeometry
from models.iseg.correcting import ANSWERS_VERSION, Correcting, Voters
from models.iseg.decoders import ClickNetwork, build_network
from utils.clicks import Clicks
from utils.device import fast_dtype, has_bfloat16_kernels
from utils.errors import UserError
from utils.files import digest
from utils.geometry.coarse import CoarseMesh
from utils.geometry.mesh import Mesh
from utils.options import PRECISIONS
from utils.segmenter import Candidates, Segmenter
from utils.selection import obey

LARGE = 32_768  # a mesh of more vertices is answered on about so many
CHUNK_ROWS = {"cpu": 2048, "cuda": 1 << 20}  # on a CPU a chunk's activations stay in the second-level cache


def ground_of(mesh: Mesh, network: ClickNetwork) -> Mesh:
    """What a network is trained and asked on: the mesh, or, for one that knows distances, a coarse copy of a large one.

    The field is as coarse there (`models.iseg.distillation.joined_vertices`), and its teacher's views are coarser.
    """
    return CoarseMesh.of(mesh, LARGE) if network.uses_geometry and mesh.num_vertices > LARGE else mesh


def features_on(ground: Mesh, features: Tensor) -> Tensor:
    """Features (V, 256) of a mesh, or already those of its `ground_of`, on that ground: (G, 256)."""
    if isinstance(ground, CoarseMesh) and len(features) != ground.num_vertices:
        return ground.means(features)
    return features


class DecoderSegmenter(Segmenter):
    """Answers any number of clicks on one mesh with the decoder that was trained on it.

    mesh       of V vertices
    network    attention and decoder, on the device that is to compute
    features   (V, 256) the mesh feature field, or that of the ground (`features_on`)
    voters     what it answered all over the mesh, where its training asked (`models.iseg.correcting`): then a first
               click is answered by vote, further ones correct in the order in which they were made; None: every set of
               clicks is answered for itself, as published
    ground     made by `ground_of`, if it is known already; on a coarse one the answers are carried to the mesh

    What does not depend on the clicks is computed once: the queries of the attention and the share of the first layer
    that comes from the features.

    precision: "exact" agrees with the published equations to 1e-5, for which float32 is just too coarse after 16
    layers, so the published architecture is computed in float64 (the geometric one in float32); "float32"; "bfloat16",
    which is fastest where the processor multiplies matrices of it; "auto" is bfloat16 there and float32 elsewhere.
    """

    kind = "trained"
    label = "decoder trained on this mesh"
    threshold = None

    def __init__(
        self,
        mesh: Mesh,
        network: ClickNetwork,
        features: Tensor,
        precision: str = "exact",
        voters: Voters | None = None,
        ground: Mesh | None = None,
    ) -> None:
        super().__init__(mesh)
        self.ground = ground or ground_of(mesh, network)
        if precision not in PRECISIONS:
            raise UserError(f"unknown precision '{precision}'; choose one of {', '.join(PRECISIONS)}")
        self.device = next(network.parameters()).device
        self.dtype = _working_dtype(precision, network.uses_geometry, self.device)
        # What is computed once is not computed in bfloat16.
        once = torch.promote_types(self.dtype, torch.float32)
        self.network = copy.deepcopy(network).to(once).eval().requires_grad_(False)
        self.geometry = ClickGeometry(self.ground) if network.uses_geometry else None
        self._prepare(features_on(self.ground, features).to(self.device, once))
        self._correcting = None
        if voters is not None and self.geometry is not None:
            distances = self.geometry.distances
            self._correcting = Correcting(
                self.ground, voters, self.decode, lambda vertex: distances.from_nearest([vertex])
            )

    @classmethod
    def load(
        cls,
        checkpoint: str | Path,
        features: str | Path,
        mesh: Mesh,
        device: str | torch.device = "cpu",
        precision: str = "exact",
    ) -> DecoderSegmenter:
        """The decoder at `checkpoint` on the field at `features` (`pred_f.pth`), released files or ours.

        Raises UserError if a file is missing or damaged, does not belong to `mesh`, or is of an unknown architecture.
        """
        held = load_decoder_checkpoint(checkpoint)
        field, identity = load_features(features, mesh)
        require_mesh(held, checkpoint, mesh, identity)
        network = build_network(held.architecture, held.config)
        load_state(network.attention, held.attention_state_dict, checkpoint)
        load_state(network.decoder, held.model_state_dict, checkpoint)
        ground = ground_of(mesh, network)
        segmenter = cls(mesh, network.to(device), field, precision, held.asked(ground, checkpoint), ground)
        version = (ANSWERS_VERSION,) if segmenter.geometry is not None else ()
        segmenter.identity = digest(Path(checkpoint).read_bytes(), identity, precision, *version)
        segmenter.sources = {"checkpoint": str(checkpoint), "features": str(features), "precision": precision}
        return segmenter

    def probability(self, clicks: Clicks, granularity: float | None = None) -> np.ndarray:
        if granularity is not None:
            raise UserError("--granularity needs the prior decoder: add --segmenter prior")
        clicks = clicks.validate(self.num_vertices)
        if not isinstance(self.ground, CoarseMesh):
            return self._on_ground(clicks)
        places = torch.from_numpy(self.ground.of_vertex)[clicks.vertices]
        first = torch.from_numpy(np.sort(np.unique(places.numpy(), return_index=True)[1]))  # of two in one place
        found = self.ground.carried(self._on_ground(Clicks(places[first], clicks.positive[first])))
        return obey(found, clicks.positives.numpy(), clicks.negatives.numpy())

    def _on_ground(self, clicks: Clicks) -> np.ndarray:
        """(N,) float32, the answer on the vertices of `ground` to clicks on them."""
        if self._correcting is not None:
            clicks = clicks.distinct()
            return self._correcting(clicks.vertices.numpy(), clicks.positive.numpy())
        clicks = clicks.canonical()
        return self.decode(clicks.vertices.numpy(), clicks.positive.numpy())

    def face_candidates(self, faces: np.ndarray, positive: np.ndarray) -> Candidates:
        found = super().face_candidates(faces, positive)
        if self._correcting is not None:  # a face is clicked by one of its corners, and the others may outweigh it
            obey(found.probability, faces[positive], faces[~positive])
        return found

    @torch.inference_mode()
    def decode(self, vertices: np.ndarray, positive: np.ndarray) -> np.ndarray:
        """(N,) float32 what the network itself says on `ground` to distinct clicks (C,) int64, (C,) bool (Sec. 3.2)."""
        clicks = Clicks(torch.from_numpy(vertices), torch.from_numpy(positive))
        geometry = self.geometry.of_clicks(clicks).to(self.device, self.dtype) if self.geometry else None
        keys, shares = self._click_terms(clicks.to(self.device))
        size = CHUNK_ROWS[self.device.type]
        inputs, weight = self._click_inputs(len(keys), shares, geometry)
        parts = [
            self._probability(slice(start, start + size), keys, inputs, weight)
            for start in range(0, self.ground.num_vertices, size)
        ]
        return torch.cat(parts).cpu().numpy()

    @torch.inference_mode()
    def _prepare(self, features: Tensor) -> None:
        """Split the first layer into the shares of the features, of the conditioned features and of the geometry."""
        attention, decoder = self.network.attention, self.network.decoder
        features = decoder.standardized(features)
        linears = [layer for layer in decoder.mlp if isinstance(layer, nn.Linear)]
        norms = [layer for layer in decoder.mlp if isinstance(layer, nn.LayerNorm)]
        first = linears[0]
        width = features.shape[1]
        self._conditioned_weight = first.weight[:, width : 2 * width]
        constant = linear(features, first.weight[:, :width], first.bias)
        if self.geometry is not None:
            split = 2 * width + self.geometry.static.shape[1]
            constant += linear(self.geometry.static.to(self.device), first.weight[:, 2 * width : split])
            self._geometry_weight = first.weight[:, split:].to(self.dtype)
        self._features = features
        self._queries = attention.W_Q(features).to(self.dtype)
        self._constant = constant.to(self.dtype)
        self._layers = fold_normalizations(norms, linears[1:], self.dtype)

    def _click_terms(self, clicks: Clicks) -> tuple[Tensor, Tensor]:
        """Keys (C, 256) of the clicks, and what each adds to the first layer where it is attended to, (C, width)."""
        keys, values = self.network.attention.keys_values(self._features[clicks.vertices], clicks.positive)
        return keys.to(self.dtype), linear(values, self._conditioned_weight).to(self.dtype)

    def _click_inputs(self, clicks: int, shares: Tensor, geometry: Tensor | None) -> tuple[Tensor, Tensor]:
        """What varies with the clicks enters the first layer in one product: inputs (N, C + G), in which the weights of
        the attention are still to be filled in, and their weights (C + G, width)."""
        if geometry is None:
            return shares.new_empty(self.ground.num_vertices, clicks), shares
        inputs = torch.cat([geometry.new_empty(self.ground.num_vertices, clicks), geometry], dim=1)
        return inputs, torch.cat([shares, self._geometry_weight.T])

    def _probability(self, rows: slice, keys: Tensor, inputs: Tensor, weight: Tensor) -> Tensor:
        inputs = inputs[rows]
        inputs[:, : len(keys)] = self.network.attention.weights(self._queries[rows], keys)
        logits = run_layers(torch.addmm(self._constant[rows], inputs, weight).relu_(), self._layers)
        return (logits[:, 1] - logits[:, 0]).to(torch.promote_types(logits.dtype, torch.float32)).sigmoid().float()


def _working_dtype(precision: str, uses_geometry: bool, device: torch.device) -> torch.dtype:
    if precision == "exact":
        return torch.float32 if uses_geometry else torch.float64
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}.get(precision) or fast_dtype(device)


@dataclass(frozen=True, eq=False)
class FoldedLinear:
    """A LayerNorm with its affine part folded into the Linear after it.

    weight (out, in), bias (out,) of the Linear; eps of the LayerNorm before it
    """

    weight: Tensor
    bias: Tensor
    eps: float


def fold_normalizations(norms: list[nn.LayerNorm], linears: list[nn.Linear], dtype: torch.dtype) -> list[FoldedLinear]:
    """Each Linear after the first with the LayerNorm before it, in fewer passes over the data: for the plain
    normalisation n, W (g * n + b) + c = (W g) n + (W b + c)."""
    folded = []
    for norm, layer in zip(norms, linears):
        bias = layer.weight @ norm.bias + layer.bias
        folded.append(FoldedLinear((layer.weight * norm.weight).to(dtype), bias.to(dtype), norm.eps))
    return folded


def run_layers(hidden: Tensor, layers: list[FoldedLinear]) -> Tensor:
    """Logits (N, 2) from the rectified output of the first layer (N, width)."""
    for layer in layers[:-1]:
        hidden = rectified_linear(layer_norm(hidden, hidden.shape[-1:], eps=layer.eps), layer.weight, layer.bias)
    last = layers[-1]
    return linear(layer_norm(hidden, hidden.shape[-1:], eps=last.eps), last.weight, last.bias)


def rectified_linear(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """relu(inputs W^T + b); on the CPU in one pass where this torch offers oneDNN's fused product."""
    fused = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if _fusible(inputs) else None
    if fused is None:
        return linear(inputs, weight, bias).relu_()
    return fused(inputs, weight, bias, "relu", [], "")


def _fusible(inputs: Tensor) -> bool:
    return inputs.device.type == "cpu" and inputs.dtype == torch.bfloat16 and has_bfloat16_kernels()
