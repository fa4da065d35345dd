"""A graph with what must be known of it to serve it."""

from dataclasses import dataclass, field
from typing import Any

import openvino
from numpy.typing import NDArray

INPUTS = (
    "input_ids",
    "position_ids",
    "sampled_rows",
    "past_lens",
    "subsequence_begins",
    "block_indices",
    "block_indices_begins",
    "max_context_len",
)
"""Of a graph, beside the caches: tokens and positions [tokens] and the rows whose logits are wanted
[sampled], in int64; then, in int32, which tokens belong to which sequence, and where its blocks
lie."""

IMAGE_INPUTS = ("image_places", "image_features")
"""Of a graph of a network that takes images: tokens [image tokens] that stand for images, and what
stands in the place of their embeddings [image tokens, hidden]."""

CACHE_PREFIXES = ("key_cache.", "value_cache.")
"""The inputs that hold a layer's keys and values are these with its number; the plugin knows caches
by their names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A graph with what is not in it."""

    graph: openvino.Model
    vocab_size: int
    eos_token_ids: frozenset[int]
    max_positions: int | None
    """Longest sequence that the network knows positions for, if it says so."""
    source: Any = field(repr=False)
    """What holds the memory that constants of the graph lie in: the model it was traced from, or
    nothing for a graph from a file. Must live as long as the graph, also once that is compiled."""
    reference: NDArray[Any]
    """Logits of `check_prompts` as transformers computes them, [positions, vocab] in float32."""
