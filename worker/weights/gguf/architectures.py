"""Architectures of GGUF files that are converted: the network of each, and how its config is made.

Each row was compared with the network that it comes from (`tests/unit/worker/weights/gguf/`).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from worker.engine.interface import BadCheckpointError
from worker.weights.gguf.dense_fields import (
    arcee_fields,
    cohere2_fields,
    cohere_fields,
    ernie_fields,
    exaone4_fields,
    gemma2_fields,
    gemma3_fields,
    gemma_fields,
    glm4_fields,
    olmo2_fields,
    olmo3_fields,
    olmo_fields,
    phi3_fields,
    seed_oss_fields,
    smollm3_fields,
    starcoder2_fields,
)
from worker.weights.gguf.fields import (
    Fields,
    granite_fields,
    llama_fields,
    qwen2_fields,
    qwen3_fields,
    require,
)
from worker.weights.gguf.file import GgufFile
from worker.weights.gguf.gemma_fields import gemma3n_fields, gemma4_fields, of_shared_layers
from worker.weights.gguf.latent_fields import (
    deepseek_v2_fields,
    deepseek_v3_fields,
    is_deepseek_v2,
)
from worker.weights.gguf.mixed_fields import (
    dots1_fields,
    ernie_moe_fields,
    glm4_moe_fields,
    gpt_oss_fields,
    granite_moe_fields,
    lfm2_fields,
    lfm2_moe_fields,
    minimax_m2_fields,
    olmoe_fields,
    qwen2_moe_fields,
    qwen3_moe_fields,
    qwen35_fields,
    qwen35_moe_fields,
)
from worker.weights.gguf.transforms import (
    CENTRED,
    GEMMA_4,
    GPT_OSS,
    GRANITE_MOE,
    LATENT,
    PACKED_EXPERTS,
    PAIRED,
    QWEN35,
    Join,
    Transforms,
)

_NOTHING = re.compile(r"(?!)")


@dataclass(frozen=True, slots=True)
class Architecture:
    """Network of transformers for an architecture of GGUF files."""

    model_type: str
    fields: Callable[[GgufFile], Fields]
    """Returns the fields of config.json beside those of `size_fields`."""
    transforms: Transforms = ()
    joins: tuple[Join, ...] = ()
    left_out: Callable[[GgufFile], re.Pattern[str]] = lambda file: _NOTHING
    """Returns a pattern of tensors that the network has no part for, such as those of drafts."""


def _drafts(file: GgufFile) -> re.Pattern[str]:
    """Return a pattern of the layers that predict several tokens at once; they come last."""
    num_layers = require(file, "block_count")
    num_drafts = file.get("nextn_predict_layers", 0)
    layers = "|".join(map(str, range(num_layers - num_drafts, num_layers)))
    return re.compile(rf"^blk\.({layers})\.") if num_drafts else _NOTHING


ARCHITECTURES: Mapping[str, Architecture] = {
    "llama": Architecture("llama", llama_fields, PAIRED),
    "arcee": Architecture("arcee", arcee_fields, PAIRED),
    "granite": Architecture("granite", granite_fields, PAIRED),
    "smollm3": Architecture("smollm3", smollm3_fields, PAIRED),
    "qwen2": Architecture("qwen2", qwen2_fields),
    "qwen2moe": Architecture("qwen2_moe", qwen2_moe_fields),
    "qwen3": Architecture("qwen3", qwen3_fields),
    "qwen3moe": Architecture("qwen3_moe", qwen3_moe_fields),
    # Without images, whose part is in a file of its own, all axes of positions are one.
    "qwen2vl": Architecture("qwen2", qwen2_fields),
    "qwen3vl": Architecture("qwen3", qwen3_fields),
    "qwen3vlmoe": Architecture("qwen3_moe", qwen3_moe_fields),
    "phi3": Architecture("phi3", phi3_fields),
    "starcoder2": Architecture("starcoder2", starcoder2_fields),
    "command-r": Architecture("cohere", cohere_fields),
    "olmo": Architecture("olmo", olmo_fields, PAIRED),
    "olmo2": Architecture("olmo2", olmo2_fields),
    "olmoe": Architecture("olmoe", olmoe_fields),
    "gemma": Architecture("gemma", gemma_fields, CENTRED),
    "gemma2": Architecture("gemma2", gemma2_fields, CENTRED),
    "gemma3": Architecture("gemma3_text", gemma3_fields, CENTRED),
    "seed_oss": Architecture("seed_oss", seed_oss_fields),
    "glm4": Architecture("glm4", glm4_fields),
    "ernie4_5": Architecture("ernie4_5", ernie_fields),
    "gpt-oss": Architecture("gpt_oss", gpt_oss_fields, joins=GPT_OSS),
    "granitemoe": Architecture("granitemoe", granite_moe_fields, PAIRED, GRANITE_MOE),
    "cohere2": Architecture("cohere2", cohere2_fields),
    "exaone4": Architecture("exaone4", exaone4_fields),
    "glm4moe": Architecture("glm4_moe", glm4_moe_fields, left_out=_drafts),
    "lfm2": Architecture("lfm2", lfm2_fields),
    "qwen35": Architecture("qwen3_5_text", qwen35_fields, QWEN35, left_out=_drafts),
    "dots1": Architecture("dots1", dots1_fields),
    "ernie4_5-moe": Architecture("ernie4_5_moe", ernie_moe_fields, left_out=_drafts),
    "lfm2moe": Architecture("lfm2_moe", lfm2_moe_fields),
    "qwen35moe": Architecture(
        "qwen3_5_moe_text", qwen35_moe_fields, QWEN35, PACKED_EXPERTS, left_out=_drafts
    ),
    "minimax-m2": Architecture("minimax_m2", minimax_m2_fields),
    "deepseek2": Architecture("deepseek_v3", deepseek_v3_fields, joins=LATENT, left_out=_drafts),
    "gemma3n": Architecture("gemma3n_text", gemma3n_fields, left_out=of_shared_layers),
    "gemma4": Architecture("gemma4_text", gemma4_fields, joins=GEMMA_4, left_out=of_shared_layers),
}
"""Architectures by their names in `general.architecture`."""
_VARIANTS: Mapping[str, tuple[Callable[[GgufFile], bool], Architecture]] = {
    "llama": (
        lambda file: bool(file.get("expert_count")),
        Architecture("mixtral", llama_fields, PAIRED),
    ),
    "olmo2": (
        lambda file: bool(file.get("attention.sliding_window")),
        Architecture("olmo3", olmo3_fields),
    ),
    "deepseek2": (is_deepseek_v2, Architecture("deepseek_v2", deepseek_v2_fields, joins=LATENT)),
}
"""Networks of files that share the name of their architecture with another, and how they differ."""


def find_architecture(file: GgufFile) -> Architecture:
    """Return the architecture of a file; raise `BadCheckpointError` if it is not converted."""
    found = ARCHITECTURES.get(file.architecture)
    if found is None:
        known = ", ".join(sorted(ARCHITECTURES))
        raise BadCheckpointError(
            f"GGUF files of the architecture {file.architecture!r} are not converted (converted "
            f"are {known}): take the model as safetensors"
        )
    applies, variant = _VARIANTS.get(file.architecture, (None, found))
    return variant if applies is not None and applies(file) else found
