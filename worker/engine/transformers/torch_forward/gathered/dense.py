"""Attention over keys in one tensor, of which a mask hides some, with sinks and capped scores.

A sink is a logit in a head's softmax that has no value. Here it is the score of one more key, the
last one, whose value is zero.
"""

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from worker.engine.transformers.torch_forward.attention import AttentionOptions


def attend_grouped(
    query: Tensor, keys: Tensor, values: Tensor, mask: Tensor, options: AttentionOptions
) -> Tensor:
    """Map query [rows, key heads, group, size] to [rows, key heads, group, value size].

    Keys and values are [rows, key heads, keys, size]. The mask, True where a query attends, is
    broadcast over [rows, key heads, group, keys]. With sinks the last key is that of the sinks.
    """
    sinks = options.sinks
    if sinks is not None:
        sinks = sinks.to(query.dtype).view(query.shape[1], -1, 1)
    return _attend(query, keys, values, mask, options, sinks)


def attend_queries(
    query: Tensor, keys: Tensor, values: Tensor, mask: Tensor, options: AttentionOptions
) -> Tensor:
    """Map query [query heads, queries, size] to [queries, query heads, value size].

    Keys and values are [key heads, keys, size], the mask [queries, keys]. With sinks the last key
    is that of the sinks. Key heads are computed one by one, which limits the memory of the scores.
    """
    group = len(query) // len(keys)
    outputs = []
    for head in range(len(keys)):
        members = slice(head * group, (head + 1) * group)
        sinks = options.sinks
        if sinks is not None:
            sinks = sinks[members, None, None].to(query.dtype)
        key, value = (each[None, head, None].expand(-1, group, -1, -1) for each in (keys, values))
        outputs.append(_attend(query[None, members], key, value, mask, options, sinks)[0])
    return torch.cat(outputs).transpose(0, 1)


def _attend(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor,
    options: AttentionOptions,
    sinks: Tensor | None,
) -> Tensor:
    """Attend with sinks that are broadcast over the last column of the scores."""
    if options.softcap is None:
        bias = mask if sinks is None else _make_bias(query, mask, sinks)
        return scaled_dot_product_attention(query, keys, values, bias, scale=options.scale)
    scores = query @ keys.transpose(-1, -2) * (options.scale or query.shape[-1] ** -0.5)
    scores = torch.tanh(scores / options.softcap) * options.softcap
    scores.masked_fill_(~mask, float("-inf"))
    if sinks is not None:
        scores[..., -1:] = sinks
    return scores.softmax(-1, dtype=torch.float32).to(values.dtype) @ values


def _make_bias(query: Tensor, mask: Tensor, sinks: Tensor) -> Tensor:
    """Return what is added to the scores: the sinks in the last column, the mask in the others."""
    bias = query.new_zeros(*query.shape[:-1], mask.shape[-1])
    bias.masked_fill_(~mask, float("-inf"))
    bias[..., -1:] = sinks
    return bias
