"""Converted network: an OpenVINO graph with the data that is needed to serve it."""

from dataclasses import dataclass, field
from typing import Any

import openvino
from numpy.typing import NDArray

INPUTS = ("input_ids", "position_ids", "sampled_rows", "subsequence_begins")
"""Inputs of a graph besides caches and layouts. In int64: tokens and positions [tokens], and the
rows whose logits are computed [sampled]. In int32: the tokens that belong to each sequence.
Networks with M-RoPE take positions on three axes, [3, tokens]."""

_LAYOUT = ("past_lens", "block_indices", "block_indices_begins", "max_context_len")
"""Inputs in int32 that say which blocks hold the keys of each sequence."""


def layout_inputs(window: int) -> tuple[str, ...]:
    """Return the names of the layout of layers with a window, which has only its blocks; 0: all.

    The first of them is also how a graph is known to have such layers.
    """
    return tuple(f"{name}.{window}" for name in _LAYOUT) if window else _LAYOUT


IMAGE_INPUTS = ("image_places", "image_features")
"""Additional inputs for a network that takes images: indices of the tokens that stand for images
[image tokens], and the features that replace their embeddings [image tokens, hidden]."""

DEEP_INPUT = "deep_features"
"""Additional input for a network with DeepStack, after `IMAGE_INPUTS`: features that are added to
the outputs of the first layers [levels, image tokens, hidden]."""

CACHE_PREFIXES = ("key_cache.", "value_cache.")
"""Names of the inputs that hold a layer's keys and values, to be followed by the layer's number.
The plugin recognizes caches by these names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Graph with the metadata that it does not contain."""

    graph: openvino.Model
    vocab_size: int
    eos_token_ids: frozenset[int]
    max_positions: int | None
    """Longest sequence in tokens that the network has positions for, if its config states one."""
    check_length: int
    """Length of the longest prompt of the load check."""
    original_length: int | None
    """Number of tokens above which all positions of a sequence have other rotary factors."""
    source: Any = field(repr=False)
    """Owner of the memory of the graph's constants: the model it was traced from, or None for a
    graph from a file. Must live as long as the graph, even once that is compiled."""
    reference: NDArray[Any]
    """Logits of `check_prompts` as transformers computes them, [positions, vocab] in float32."""
