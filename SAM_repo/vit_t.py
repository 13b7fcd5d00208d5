"""vit_t: a very small SAM made of the stock segment-anything classes.

Only the image encoder is ours; `Sam`, `PromptEncoder`, `MaskDecoder` and `TwoWayTransformer` are the unmodified ones,
so that `SamPredictor` and `SamAutomaticMaskGenerator` run it like any other SAM. `SAM_repo.fast_decoder` is the same
decoder for many prompts at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from SAM_repo.networks import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer


@dataclass(frozen=True)
class VitTConfig:
    """Sizes of the model; plain numbers, so that it travels in a checkpoint.

    image_size: side of the square the encoder sees, in pixels; the embedding has image_size / 8 cells a side, masks
    image_size / 2.
    """

    image_size: int = 224
    stem_width: int = 64
    stem_blocks: int = 2
    mid_width: int = 128
    mid_blocks: int = 3
    dim: int = 320
    depth: int = 5
    head_dim: int = 64
    mlp_ratio: int = 3
    embed_dim: int = 256
    fuse_blocks: int = 2
    decoder_depth: int = 2
    decoder_heads: int = 8
    decoder_mlp: int = 512
    mask_in_chans: int = 16


def to_pixels_last(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H, W, C); a view when the memory format is channels_last."""
    return x.permute(0, 2, 3, 1)


def to_channels_first(x: Tensor) -> Tensor:
    """(B, H, W, C) -> (B, C, H, W) view, channels_last in memory."""
    return x.permute(0, 3, 1, 2)


class ConvBlock(nn.Module):
    """Residual pair of 3x3 convolutions with one layer norm over channels; (B, C, H, W) to the same shape."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.LayerNorm(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.normal_(self.conv2.weight, std=0.2 / math.sqrt(9 * width))

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.gelu(self.norm(to_pixels_last(self.conv1(x))))
        return x + self.conv2(to_channels_first(hidden))


class TransformerBlock(nn.Module):
    """Pre-norm transformer block with global attention; (B, N, C) to the same shape."""

    def __init__(self, dim: int, head_dim: int, mlp_ratio: int) -> None:
        super().__init__()
        self.heads = dim // head_dim
        self.norm1 = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.lin1 = nn.Linear(dim, mlp_ratio * dim)
        self.lin2 = nn.Linear(mlp_ratio * dim, dim)
        for layer in (self.proj, self.lin2):
            nn.init.normal_(layer.weight, std=0.2 / math.sqrt(layer.in_features))

    def forward(self, x: Tensor) -> Tensor:
        batch, count, dim = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)
        # Written out: for a few hundred tokens in bfloat16 two batched products beat the fused CPU kernel.
        attention = torch.softmax(query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1]), dim=-1)
        x = x + self.proj((attention @ value).transpose(1, 2).reshape(batch, count, dim))
        return x + self.lin2(F.gelu(self.lin1(self.norm2(x))))


class VitTEncoder(nn.Module):
    """Image encoder: convolutions at strides 4 and 8, transformer blocks at stride 16, all fused at stride 8.

    forward: (B, 3, S, S) float, normalised as `Sam.preprocess` does, S a multiple of 16 -> (B, 256, S / 8, S / 8)
    float32. Only the number of cells depends on S: positions enter as a function of coordinates in [-1, 1].
    """

    def __init__(self, config: VitTConfig) -> None:
        super().__init__()
        self.img_size = config.image_size
        self.stem = nn.Conv2d(12, config.stem_width, 3, stride=2, padding=1)
        self.stem_blocks = nn.Sequential(*[ConvBlock(config.stem_width) for _ in range(config.stem_blocks)])
        self.to_mid = nn.Conv2d(config.stem_width, config.mid_width, 3, stride=2, padding=1)
        self.mid_blocks = nn.Sequential(*[ConvBlock(config.mid_width) for _ in range(config.mid_blocks)])
        self.to_coarse = nn.Conv2d(config.mid_width, config.dim, 3, stride=2, padding=1)
        self.frequencies: Tensor
        self.register_buffer("frequencies", torch.randn(2, 32))
        self.position = nn.Linear(64, config.dim)
        self.blocks = nn.Sequential(
            *[TransformerBlock(config.dim, config.head_dim, config.mlp_ratio) for _ in range(config.depth)]
        )
        self.norm = nn.LayerNorm(config.dim)
        self.from_coarse = nn.Linear(config.dim, config.embed_dim)
        self.from_mid = nn.Linear(config.mid_width, config.embed_dim)
        self.from_stem = nn.Conv2d(config.stem_width, config.embed_dim, 2, stride=2)
        self.fuse_blocks = nn.Sequential(*[ConvBlock(config.embed_dim) for _ in range(config.fuse_blocks)])
        self.out = nn.Linear(config.embed_dim, config.embed_dim)
        self.out_norm = nn.LayerNorm(config.embed_dim)
        # Values mostly inside [-1, 1]: the mesh feature field that imitates the embedding ends in a tanh.
        nn.init.constant_(self.out_norm.weight, 0.3)

    def _position(self, height: int, width: int, device: torch.device) -> Tensor:
        y = (torch.arange(height, device=device) + 0.5) * (2.0 / height) - 1
        x = (torch.arange(width, device=device) + 0.5) * (2.0 / width) - 1
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).reshape(-1, 1, 2)
        phase = math.pi * (grid[..., 0] * self.frequencies[0] + grid[..., 1] * self.frequencies[1])
        return self.position(torch.cat([phase.sin(), phase.cos()], dim=-1))

    def forward(self, x: Tensor) -> Tensor:
        x = F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last)
        stem = self.stem_blocks(self.stem(x))
        mid = self.mid_blocks(self.to_mid(F.gelu(stem)))
        coarse = self.to_coarse(F.gelu(mid))
        batch, dim, height, width = coarse.shape
        tokens = to_pixels_last(coarse).reshape(batch, height * width, dim)
        tokens = self.blocks(tokens + self._position(height, width, x.device).to(tokens.dtype))
        coarse = self.from_coarse(self.norm(tokens)).view(batch, height, width, -1)
        coarse = coarse.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
        fused = coarse + self.from_mid(to_pixels_last(mid)) + to_pixels_last(self.from_stem(stem))
        fused = to_pixels_last(self.fuse_blocks(to_channels_first(fused)))
        return to_channels_first(self.out_norm(self.out(fused)).float())


def build_vit_t(config: VitTConfig = VitTConfig()) -> Sam:
    """A `Sam` with random weights (drawn from torch's global generator) in the given sizes, in eval mode."""
    side, cells = config.image_size, config.image_size // 8
    encoder: Any = VitTEncoder(config)  # any module will do for Sam
    prompts = PromptEncoder(config.embed_dim, (cells, cells), (side, side), config.mask_in_chans, activation=nn.ReLU)
    transformer = TwoWayTransformer(config.decoder_depth, config.embed_dim, config.decoder_heads, config.decoder_mlp)
    decoder = MaskDecoder(transformer_dim=config.embed_dim, transformer=transformer, activation=nn.ReLU)
    sam = Sam(encoder, prompts, decoder)
    _initialise_locality(sam)
    return sam.eval()


def restore_vit_t(sizes: dict[str, int], weights: dict[str, Tensor]) -> Sam:
    """A float32 `Sam` in eval mode from what a checkpoint holds: fields of `VitTConfig`, weights of any precision."""
    sam = build_vit_t(VitTConfig(**sizes))
    sam.load_state_dict(weights)
    return sam


def set_image_size(sam: Sam, image_size: int) -> None:
    """Make the model work on images of another side (a multiple of 16): the weights do not depend on it."""
    cells = image_size // 8
    sam.image_encoder.img_size = image_size
    sam.prompt_encoder.input_image_size = (image_size, image_size)
    sam.prompt_encoder.image_embedding_size = (cells, cells)
    sam.prompt_encoder.mask_input_size = (4 * cells, 4 * cells)


@torch.no_grad()
def _initialise_locality(sam: Sam, gain: float = 1.4) -> None:
    """Start the attentions between tokens and image as a kernel of distance: a click then reads what is under it.

    The positional code of two points has the dot product sum_k cos(2 pi b_k . (p - q)), which peaks at p = q. Queries
    and keys therefore begin as the same selection of that code, each head at its own length scale.
    """
    encoder: Any = sam.prompt_encoder
    decoder: Any = sam.mask_decoder
    transformer = decoder.transformer
    frequencies = encoder.pe_layer.positional_encoding_gaussian_matrix
    half = frequencies.shape[1]
    heads = transformer.num_heads
    per_head = half // (2 * heads)
    for head in range(heads):
        scale = 0.5 * 5.0 ** (head / max(heads - 1, 1))  # standard deviation of the frequencies: 0.5 ... 2.5
        for k in range(per_head):
            angle = math.pi * (k + torch.rand(()).item()) / per_head
            length = scale * math.sqrt(-2 * math.log(1 - (torch.randperm(per_head)[0].item() + 0.5) / per_head))
            frequencies[:, head * per_head + k] = torch.tensor([math.cos(angle), math.sin(angle)]) * length
    selection = torch.zeros(half, 2 * half)
    for head in range(heads):
        for k in range(per_head):
            column, row = head * per_head + k, head * 2 * per_head + 2 * k
            selection[row, column] = gain
            selection[row + 1, half + column] = gain
    attentions = [transformer.final_attn_token_to_image]
    for layer in transformer.layers:
        attentions += [layer.cross_attn_token_to_image, layer.cross_attn_image_to_token]
    for attention in attentions:
        attention.q_proj.weight.copy_(selection)
        attention.k_proj.weight.copy_(selection)
        attention.q_proj.bias.zero_()
        attention.k_proj.bias.zero_()
    # The first self-attention has no residual: it begins as an average of the tokens, so that all know the clicks.
    first = transformer.layers[0].self_attn
    for projection in (first.v_proj, first.out_proj):
        projection.weight.copy_(torch.eye(2 * half))
        projection.bias.zero_()
    for embedding in (decoder.iou_token, decoder.mask_tokens):
        embedding.weight.mul_(0.3)
    for embedding in (*encoder.point_embeddings, encoder.not_a_point_embed, encoder.no_mask_embed):
        embedding.weight.mul_(0.3)


def normalise(sam: Sam, images: Tensor) -> Tensor:
    """uint8 (B, S, S, 3) -> float (B, 3, S, S) as `Sam.preprocess` gives it."""
    mean, deviation = torch.as_tensor(sam.pixel_mean), torch.as_tensor(sam.pixel_std)
    return (images.permute(0, 3, 1, 2).float() - mean) / deviation
