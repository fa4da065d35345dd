"""Families of networks that the engine does not compute, by the `model_type` of config.json."""

from collections.abc import Iterator, Mapping
from typing import Any

from worker.engine.checkpoint.files import Checkpoint

_SPARSE = "its attention selects keys with a sparse indexer"
_RECURRENT = "it is a recurrent network"

REFUSED = {
    "deepseek_v32": _SPARSE,
    "deepseek_v4": _SPARSE,
    "glm_moe_dsa": _SPARSE,
    "glm5_next": _SPARSE,
    "glm5_next_text": _SPARSE,
    "mistral_large4": _SPARSE,
    "mistral_large4_text": _SPARSE,
    "minimax_m3_vl": _SPARSE,
    "minimax_m3_vl_text": _SPARSE,
    "llama4": "transformers fails in its forward pass; its text alone (llama4_text) runs",
    "diffllama": "its attention is a difference of two",
    "recurrent_gemma": _RECURRENT,
    "rwkv": _RECURRENT,
    "xlstm": _RECURRENT,
    "doge": "its attention has a mask of its own",
    "diffusion_gemma": "it generates by diffusion",
    "diffusion_gemma_text": "it generates by diffusion",
    "blt": "it groups bytes to patches as it reads",
}
"""Reason for each, as part of a sentence; the row is to go once its networks are exact."""

_INDEXER_FIELDS = ("index_topk", "index_n_heads", "index_head_dim")


def find_refused_family(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Iterator[str]:
    """Yield a problem if the engine does not compute the family of the network."""
    del checkpoint
    parts = [config, *(value for value in config.values() if isinstance(value, dict))]
    for part in parts:
        model_type = str(part.get("model_type", ""))
        if reason := REFUSED.get(model_type):
            yield f"networks of the family {model_type} are not supported: {reason}"
            return
    if any(part.get(field) for part in parts for field in _INDEXER_FIELDS):
        yield f"the network is not supported: {_SPARSE} (index_topk in config.json)"
