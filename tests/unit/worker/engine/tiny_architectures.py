"""Configurations of tiny networks, one for each architecture that the engine is tested with.

Embeddings are not tied to the output layer where such a network would only repeat its last token.
"""

from typing import Any

from transformers import (
    AutoConfig,
    CodeGenConfig,
    GPT2Config,
    GPTBigCodeConfig,
    GPTJConfig,
    OPTConfig,
    PreTrainedConfig,
)

from tests.unit.worker.engine.tiny_networks import SIZES

WINDOW = 8
"""Number of tokens that a sliding-window layer sees."""

_UNTIED = {"tie_word_embeddings": False}
_HEADS = {"head_dim": 16}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
_LOCAL_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
_ROUTED_EXPERTS = {
    **{"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
    **{"n_group": 1, "topk_group": 1, "first_k_dense_replace": 1, "n_shared_experts": 1},
}
_LATENT = {
    **{"q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8},
    **{"v_head_dim": 16, "num_key_value_heads": 4},
}
_GPT: dict[str, Any] = {
    **{"vocab_size": 128, "n_embd": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.2},
    **{"bos_token_id": None, "eos_token_id": None},
}
_OPT: dict[str, Any] = {
    **{"vocab_size": 128, "hidden_size": 32, "ffn_dim": 64, "num_hidden_layers": 2},
    **{"num_attention_heads": 4, "word_embed_proj_dim": 32, "init_std": 0.2},
    **{"bos_token_id": None, "eos_token_id": None},
}
_ALL_FULL = {"layer_types": ["full_attention"] * 2}
_ONE_WINDOW = {
    "layer_types": ["sliding_attention", "full_attention"],
    "sliding_window": WINDOW,
}

_SHARED_KEYS = {
    "num_hidden_layers": 4,
    "layer_types": ["sliding_attention", "full_attention"] * 2,
    "sliding_window": WINDOW,
    "num_kv_shared_layers": 2,
}
"""The last two layers attend to the keys of the first two."""
_GEMMA4 = {
    **_HEADS,
    **_UNTIED,
    "vocab_size_per_layer_input": 128,
    "hidden_size_per_layer_input": 8,
    "final_logit_softcapping": 30.0,
}
_GEMMA3N = {
    **_GEMMA4,
    "laurel_rank": 8,
    "activation_sparsity_pattern": [0.5, 0.0, 0.0, 0.0],
}


def _config(model_type: str, *parts: dict[str, Any], **own: Any) -> PreTrainedConfig:
    merged = dict(SIZES)
    for part in (*parts, own):
        merged |= part
    return AutoConfig.for_model(model_type, **merged)


FULL_ATTENTION: dict[str, PreTrainedConfig] = {
    "apertus": _config("apertus"),
    "arcee": _config("arcee"),
    "codegen": CodeGenConfig(**_GPT, rotary_dim=4),
    "cohere": _config("cohere", _UNTIED),
    "deepseek_v2": _config("deepseek_v2", _LATENT, _ROUTED_EXPERTS),
    "deepseek_v3": _config("deepseek_v3", _LATENT, _ROUTED_EXPERTS),
    "dots1": _config("dots1", _HEADS, _ROUTED_EXPERTS, _ALL_FULL, sliding_window=None),
    "ernie4_5": _config("ernie4_5", _HEADS),
    "ernie4_5_moe": _config(
        "ernie4_5_moe", moe_num_experts=4, moe_k=2, moe_intermediate_size=32, **_UNTIED
    ),
    "exaone4": _config("exaone4", _ALL_FULL, sliding_window=None),
    "flex_olmo": _config("flex_olmo", num_experts=4, num_experts_per_tok=2),
    "gemma": _config("gemma", _HEADS, _UNTIED),
    "glm": _config("glm", _HEADS),
    "glm4": _config("glm4", _HEADS),
    "glm4_moe": _config("glm4_moe", _HEADS, _ROUTED_EXPERTS),
    "gpt2": GPT2Config(**_GPT),
    "gpt_bigcode": GPTBigCodeConfig(**_GPT),
    "gpt_neox": _config("gpt_neox"),
    "gptj": GPTJConfig(**_GPT, rotary_dim=4),
    "granite": _config("granite", attention_multiplier=0.1, residual_multiplier=0.2),
    "granitemoe": _config("granitemoe", _LOCAL_EXPERTS),
    "helium": _config("helium", head_dim=8),
    "hunyuan_v1_dense": _config("hunyuan_v1_dense", _HEADS),
    "llama": _config("llama"),
    "llama4_text": _config(
        "llama4_text",
        _HEADS,
        _LOCAL_EXPERTS,
        _ALL_FULL,
        intermediate_size_mlp=64,
        attn_temperature_tuning=False,
    ),
    "minimax_m2": _config("minimax_m2", _HEADS, _LOCAL_EXPERTS),
    "mistral": _config("mistral", sliding_window=None),
    "mixtral": _config("mixtral", _LOCAL_EXPERTS),
    "nanochat": _config("nanochat"),
    "olmo": _config("olmo"),
    "olmo2": _config("olmo2"),
    "olmoe": _config("olmoe", _EXPERTS),
    "opt": OPTConfig(**_OPT),
    "persimmon": _config("persimmon"),
    "phi": _config("phi"),
    "phi3": _config("phi3"),
    "phimoe": _config("phimoe", _LOCAL_EXPERTS, sliding_window=None),
    "qwen2": _config("qwen2"),
    "qwen2_moe": _config("qwen2_moe", _EXPERTS, shared_expert_intermediate_size=32),
    "qwen3": _config("qwen3", _HEADS),
    "qwen3_moe": _config("qwen3_moe", _HEADS, _EXPERTS),
    "seed_oss": _config("seed_oss", _HEADS),
    "smollm3": _config("smollm3"),
    "starcoder2": _config("starcoder2", _UNTIED, sliding_window=None),
}
"""Configurations that both forward passes can compute."""

WITH_WINDOWS: dict[str, PreTrainedConfig] = {
    "afmoe": _config("afmoe", _HEADS, _EXPERTS, _ONE_WINDOW, num_dense_layers=1),
    "cohere2": _config("cohere2", _UNTIED, _ONE_WINDOW),
    "cohere2_moe": _config("cohere2_moe", _UNTIED, _HEADS, _EXPERTS, _ONE_WINDOW),
    "cwm": _config("cwm", _HEADS, _ONE_WINDOW, bos_token_id=0),
    "exaone4": _config("exaone4", _ONE_WINDOW),
    "exaone_moe": _config("exaone_moe", _HEADS, _EXPERTS, _ONE_WINDOW),
    "gemma3_text": _config("gemma3_text", _HEADS, _UNTIED, _ONE_WINDOW),
    "gemma3n_text": _config("gemma3n_text", _GEMMA3N, _SHARED_KEYS),
    "gemma4_text": _config("gemma4_text", _GEMMA4, _ONE_WINDOW),
    "gemma4_text with shared keys": _config("gemma4_text", _GEMMA4, _SHARED_KEYS),
    "gpt_oss": _config("gpt_oss", _HEADS, _LOCAL_EXPERTS, _ONE_WINDOW),
    "granite_swa": _config("granite_swa", _HEADS, _ONE_WINDOW),
    "laguna": _config("laguna", _HEADS, _EXPERTS, _ONE_WINDOW, shared_expert_intermediate_size=32),
    "mimo_v2_flash": _config("mimo_v2_flash", _ROUTED_EXPERTS, _ONE_WINDOW, v_head_dim=8, **_HEADS),
    "ministral": _config("ministral", _HEADS, _ONE_WINDOW),
    "mistral": _config("mistral", sliding_window=WINDOW),
    "mixtral": _config("mixtral", _LOCAL_EXPERTS, sliding_window=WINDOW),
    "olmo3": _config("olmo3", _ONE_WINDOW),
    "phi3": _config("phi3", sliding_window=WINDOW),
    "phimoe": _config("phimoe", _LOCAL_EXPERTS, sliding_window=WINDOW),
    "qwen2": _config("qwen2", use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1),
    "starcoder2": _config("starcoder2", _UNTIED, sliding_window=WINDOW),
}
"""Configurations with sliding windows, some also with sinks, that both forward passes compute."""

ONLY_IN_TORCH: dict[str, PreTrainedConfig] = {
    "gemma2": _config("gemma2", _HEADS, _UNTIED, _ONE_WINDOW, attn_logit_softcapping=2.0),
    "llama4_text": _config(
        "llama4_text",
        _HEADS,
        _LOCAL_EXPERTS,
        intermediate_size_mlp=64,
        layer_types=["chunked_attention", "full_attention"],
        no_rope_layers=[1, 0],
        attention_chunk_size=WINDOW,
        floor_scale=WINDOW,
        attn_scale=0.5,
    ),
    "vaultgemma": _config("vaultgemma", _HEADS, _UNTIED, _ONE_WINDOW, attn_logit_softcapping=2.0),
}
"""Configurations that OpenVINO cannot compute: with capped scores, chunks, or positions of their
own counting."""

REFUSED_BY_OPENVINO: dict[str, tuple[PreTrainedConfig, str]] = {
    "gemma2": (ONLY_IN_TORCH["gemma2"], "softcap"),
    "llama4_text": (ONLY_IN_TORCH["llama4_text"], "counts positions"),
    "stablelm": (_config("stablelm"), "does not hand keyword arguments down"),
}
"""Configurations that OpenVINO refuses, with the reason."""

JETMOE = _config("jetmoe", _LOCAL_EXPERTS)
"""Network whose graph returns no logits, whichever are requested."""
