"""SAM's prompt encoder and mask decoder for many prompts on many images at once.

The stock weights in an algebraically equal order that needs the fewest operations. `Any` are the stock modules, to
whose attributes torch gives no types.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from SAM_repo.networks import Sam
from SAM_repo.vit_t import to_channels_first, to_pixels_last


def embed_points(encoder: Any, points: Tensor, labels: Tensor) -> Tensor:
    """Stock point embedding with the padding point that SAM adds without a box: (..., K, 2), (..., K) -> (..., K + 1,
    C) float32."""
    size = torch.tensor([encoder.input_image_size[1], encoder.input_image_size[0]], device=points.device)
    matrix = encoder.pe_layer.positional_encoding_gaussian_matrix.float()
    coordinates = 2 * ((points.float() + 0.5) / size) - 1
    # Not a matrix product: autocast would round the phase to bfloat16.
    phase = 2 * math.pi * (coordinates[..., :1] * matrix[0] + coordinates[..., 1:] * matrix[1])
    code = torch.cat([phase.sin(), phase.cos()], dim=-1)
    label = labels[..., None]
    code = torch.where(label == -1, encoder.not_a_point_embed.weight[0].expand_as(code), code)
    code = code + torch.where(label == 1, 1.0, 0.0) * encoder.point_embeddings[1].weight[0]
    code = code + torch.where(label == 0, 1.0, 0.0) * encoder.point_embeddings[0].weight[0]
    padding = encoder.not_a_point_embed.weight[0].expand(*code.shape[:-2], 1, -1)
    return torch.cat([code, padding], dim=-2)


def embed_previous(encoder: Any, previous: Tensor) -> Tensor:
    """Stock mask embedding. (N, 1, 4h, 4w) logits -> (N, h * w, C), computed pixels last."""
    conv1, norm1, act1, conv2, norm2, act2, conv3 = encoder.mask_downscaling
    x = _layer_norm(norm1, to_pixels_last(conv1(previous)))
    x = _layer_norm(norm2, to_pixels_last(conv2(to_channels_first(act1(x)))))
    x = act2(x)
    return F.linear(x.flatten(1, 2), conv3.weight.flatten(1), conv3.bias)


def _layer_norm(norm: Any, x: Tensor) -> Tensor:
    """Stock LayerNorm2d (over channels) on a tensor with the channels last."""
    return F.layer_norm(x, (x.shape[-1],), norm.weight.to(x.dtype), norm.bias.to(x.dtype), norm.eps)


def _split(weight: Tensor, heads: int) -> Tensor:
    """(heads * d, C) -> (heads, d, C)."""
    return weight.reshape(heads, -1, weight.shape[-1])


def _image_scores(projected: Tensor, weight: Tensor, image: Tensor, image_pe: Tensor, heads: int) -> Tensor:
    """Scores <W (image + pe), projected> with W moved to the side of the few tokens. -> (..., heads * T, hw).

    projected: (..., T, heads * d) tokens after their own projection, weight (heads * d, C) of the image's projection.
    The bias of the image's projection is the caller's: it shifts the scores of one token alike.
    """
    tokens = projected.unflatten(-1, (heads, -1)).transpose(-2, -3)  # (..., heads, T, d)
    absorbed = (tokens @ _split(weight, heads)).flatten(-3, -2)  # (..., heads * T, C)
    return _rows_times_image(absorbed, image, transpose=True) + absorbed @ image_pe.transpose(-1, -2)


def _rows_times_image(rows: Tensor, image: Tensor, transpose: bool) -> Tensor:
    """rows (B, P, R, hw) @ image (B, 1 or P, hw, C), or rows (B, P, R, C) @ its transpose; no image is repeated."""
    batch, prompts, count, _ = rows.shape
    matrix = image.flatten(0, 1)
    left = rows.reshape(matrix.shape[0], -1, rows.shape[-1])
    return torch.bmm(left, matrix.transpose(1, 2) if transpose else matrix).view(batch, prompts, count, -1)


def _tokens_read_image(attention: Any, query: Tensor, image: Tensor, image_pe: Tensor) -> Tensor:
    """Stock Attention(q=query, k=image + image_pe, v=image) for few queries. query (..., T, C) -> (..., T, C)."""
    heads = attention.num_heads
    projected = attention.q_proj(query)
    scores = _image_scores(projected, attention.k_proj.weight, image, image_pe, heads)
    # k_proj.bias adds one number per query to all its scores, which the softmax does not see.
    weights = torch.softmax(scores / math.sqrt(projected.shape[-1] // heads), dim=-1)
    read = _rows_times_image(weights, image, transpose=False).unflatten(-2, (heads, -1))  # (..., heads, T, C)
    value = read @ _split(attention.v_proj.weight, heads).transpose(-1, -2)
    value = value.transpose(-2, -3).flatten(-2) + attention.v_proj.bias
    return attention.out_proj(value)


def _image_reads_tokens(attention: Any, image: Tensor, image_pe: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Stock Attention(q=image + image_pe, k=key, v=value) for few keys. key, value (..., T, C) -> (..., hw, C)."""
    heads = attention.num_heads
    projected = attention.k_proj(key)
    scores = _image_scores(projected, attention.q_proj.weight, image, image_pe, heads)  # (..., heads * T, hw)
    per_head = projected.unflatten(-1, (heads, -1)).transpose(-2, -3)
    shift = (per_head @ attention.q_proj.bias.view(heads, -1, 1)).flatten(-3, -2)  # bias of the image's projection
    scores = (scores + shift) / math.sqrt(per_head.shape[-1])
    weights = torch.softmax(scores.unflatten(-2, (heads, -1)), dim=-2).flatten(-3, -2)
    values = attention.v_proj(value).unflatten(-1, (heads, -1)).transpose(-2, -3)  # (..., heads, T, d)
    values = (values @ _split(attention.out_proj.weight.transpose(0, 1), heads)).flatten(-3, -2)  # (..., heads * T, C)
    # Each pixel's weights sum to one within a head: the output bias enters through one head's values.
    bias = attention.out_proj.bias.expand(key.shape[-2], -1)
    values = values + F.pad(bias, (0, 0, 0, (heads - 1) * key.shape[-2])).to(values.dtype)
    return torch.bmm(weights.flatten(0, 1).transpose(1, 2), values.flatten(0, 1)).unflatten(0, weights.shape[:2])


def _transform(transformer: Any, image: Tensor, image_pe: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Stock TwoWayTransformer: image (B, 1 or P, hw, C), points (B, P, T, C) -> tokens like points, image of P."""
    tokens = points
    for layer in transformer.layers:
        if layer.skip_first_layer_pe:
            tokens = layer.self_attn(*[tokens.flatten(0, 1)] * 3).view_as(tokens)
        else:
            query = (tokens + points).flatten(0, 1)
            tokens = tokens + layer.self_attn(query, query, tokens.flatten(0, 1)).view_as(tokens)
        tokens = layer.norm1(tokens)
        read = _tokens_read_image(layer.cross_attn_token_to_image, tokens + points, image, image_pe)
        tokens = layer.norm2(tokens + read)
        tokens = layer.norm3(tokens + layer.mlp(tokens))
        read = _image_reads_tokens(layer.cross_attn_image_to_token, image, image_pe, tokens + points, tokens)
        image = layer.norm4(image + read)
    read = _tokens_read_image(transformer.final_attn_token_to_image, tokens + points, image, image_pe)
    return transformer.norm_final_attn(tokens + read), image


def _upscale(decoder: Any, image: Tensor, hyper: Tensor, cells: tuple[int, int]) -> Tensor:
    """Stock output_upscaling and product with the hyper-vectors, without moving pixels until the end.

    image (N, hw, C), hyper (N, M, C / 8) -> (N, M, 4h, 4w). A 2 x 2 transposed convolution of stride 2 is a linear
    map of each pixel.
    """
    conv1, norm, act1, conv2, act2 = decoder.output_upscaling
    count, masks = hyper.shape[:2]
    height, width = cells
    x = F.linear(image, conv1.weight.permute(2, 3, 1, 0).flatten(0, 2), conv1.bias.repeat(4))
    x = act1(_layer_norm(norm, x.view(count, height * width * 4, -1)))
    x = act2(F.linear(x, conv2.weight.permute(2, 3, 1, 0).flatten(0, 2), conv2.bias.repeat(4)))
    x = x.view(count, height * width * 16, -1) @ hyper.transpose(1, 2)
    x = x.view(count, height, width, 2, 2, 2, 2, masks)
    return x.permute(0, 7, 1, 3, 5, 2, 4, 6).reshape(count, masks, 4 * height, 4 * width)


def decode_prompts(
    sam: Sam, embeddings: Tensor, points: Tensor, labels: Tensor, previous: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """SAM's prompt encoder and mask decoder for P prompts on each of B images.

    embeddings: (B, C, h, w) float32. points: (B, P, K, 2) xy in the encoder's input pixels. labels: (B, P, K) 1
    include, 0 exclude, -1 padding. previous: (B, P, 1, 4h, 4w) low-resolution logits or None.
    Returns logits (B, P, 4, 4h, 4w) and predicted IoU (B, P, 4); index 0 is the single-mask output, 1 to 3 are the
    three masks. Equal to the stock forward up to rounding.
    """
    prompt_encoder: Any = sam.prompt_encoder
    decoder: Any = sam.mask_decoder
    batch, prompts = points.shape[:2]
    cells = embeddings.shape[-2], embeddings.shape[-1]
    image = embeddings.flatten(2).transpose(1, 2)[:, None]  # (B, 1, hw, C)
    if previous is None:
        image = image + prompt_encoder.no_mask_embed.weight[0]
    else:
        image = image + embed_previous(prompt_encoder, previous.flatten(0, 1)).unflatten(0, (batch, prompts))
    with torch.autocast(embeddings.device.type, enabled=False):
        image_pe = prompt_encoder.pe_layer(tuple(cells)).flatten(1).transpose(0, 1)  # (hw, C)
        sparse = embed_points(prompt_encoder, points, labels)
    dtype = _compute_dtype(embeddings)
    image, image_pe = image.to(dtype), image_pe.to(dtype)
    output_tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([output_tokens.expand(batch, prompts, -1, -1), sparse], dim=2).to(dtype)

    tokens, image = _transform(decoder.transformer, image, image_pe, tokens)
    mask_tokens = tokens[:, :, 1 : 1 + decoder.num_mask_tokens]
    hyper = torch.stack([mlp(mask_tokens[:, :, i]) for i, mlp in enumerate(decoder.output_hypernetworks_mlps)], dim=2)
    logits = _upscale(decoder, image.flatten(0, 1), hyper.flatten(0, 1), cells).float()
    scores = decoder.iou_prediction_head(tokens[:, :, 0]).float()
    return logits.unflatten(0, (batch, prompts)), scores


def _compute_dtype(like: Tensor) -> torch.dtype:
    device = like.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else like.dtype
