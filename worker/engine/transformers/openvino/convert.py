"""From a folder of weights to a network that OpenVINO computes."""

from contextlib import suppress

import torch

from worker.engine.interface import EngineConfig
from worker.engine.transformers.model.forward_check import check_prompts, reference_logits
from worker.engine.transformers.model.loader import end_token_ids, load_network, text_config_name
from worker.engine.transformers.model.memory import stored_dtype
from worker.engine.transformers.openvino.network import Network
from worker.engine.transformers.openvino.tracing import trace
from worker.engine.transformers.openvino.upcast import compute_in_float32
from worker.engine.transformers.torch_forward.attention import ATTENTION_NAME

_EXPERTS = "grouped_mm"
"""Of transformers' ways to compute experts the one that the plugin knows: it multiplies each token
by those that are chosen for it, and by no others."""


def convert(config: EngineConfig) -> Network:
    """Trace the model of a folder; weights stay in the type they are stored in.

    Takes as much memory as they do there, and a layer in float32. Raises whatever transformers,
    torch or OpenVINO raise for a model that can't be traced.
    """
    dtype = torch.bfloat16 if config.has_random_weights else stored_dtype(config.folder)
    model = load_network(config, dtype, torch.device("cpu"))
    compute_in_float32(model)
    text = model.config.get_text_config()
    vocab_size = int(text.vocab_size)
    positions = getattr(text, "max_position_embeddings", None)
    max_positions = int(positions) if positions else None
    prompts = check_prompts(vocab_size, max_positions)
    model.set_attn_implementation("eager")
    reference = reference_logits(model, prompts)
    model.set_attn_implementation({text_config_name(model.config): ATTENTION_NAME})
    with suppress(ValueError):  # of a network without experts
        model.set_experts_implementation(_EXPERTS)
    return Network(
        graph=trace(model),
        source=model,
        vocab_size=vocab_size,
        eos_token_ids=end_token_ids(model),
        max_positions=max_positions,
        reference=reference,
    )
