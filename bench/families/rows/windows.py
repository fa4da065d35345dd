"""Language models whose layers see a window or a chunk, have sinks or cap their scores."""

from bench.families.family import Family, Group
from bench.families.sizes import WINDOW

_ALTERNATING = {"layer_types": ["sliding_attention", "full_attention"]}
_FOUR_LAYERS = {
    "layer_types": ["sliding_attention", "full_attention"] * 2,
    "num_hidden_layers": 4,
}
_CHUNKED: dict[str, object] = {
    "layer_types": ["chunked_attention", "full_attention"],
    "no_rope_layers": [1, 0],
    "floor_scale": 16,
}
_SHARED_KEYS = {**_FOUR_LAYERS, "num_kv_shared_layers": 2}
_EXPERTS_BESIDE = {"enable_moe_block": True, "num_experts": 4, "top_k_experts": 2}
_WIDE_HEADS = {"global_head_dim": 32}
_SHARED_VALUES = {**_WIDE_HEADS, "attention_k_eq_v": True, "num_global_key_value_heads": 1}

WINDOWS = Group(
    "Windows, chunks, sinks and soft caps",
    (
        Family("Gemma 2", "gemma2"),
        Family("Gemma 3 1B, text of the larger ones", "gemma3_text", _ALTERNATING),
        Family(
            "Gemma 3n, text",
            "gemma3n_text",
            {
                **_SHARED_KEYS,
                "activation_sparsity_pattern": [0.5, 0.0, 0.0, 0.0],
                "laurel_rank": 8,
            },
        ),
        Family("Gemma 4 E2B, E4B, text", "gemma4_text", _WIDE_HEADS | _SHARED_KEYS),
        Family("Gemma 4 31B, text", "gemma4_text", _ALTERNATING | _SHARED_VALUES),
        Family(
            "Gemma 4 26B-A4B, text", "gemma4_text", _ALTERNATING | _EXPERTS_BESIDE | _WIDE_HEADS
        ),
        Family("gpt-oss 20b, 120b", "gpt_oss"),
        Family("Mistral 7B v0.1", "mistral"),
        Family("Ministral 8B", "ministral", _ALTERNATING),
        Family("Phi-3-mini", "phi3"),
        Family("OLMo 3", "olmo3", _ALTERNATING),
        Family("Command A, Command R7B", "cohere2", _ALTERNATING),
        Family("EXAONE 4 32B", "exaone4", _ALTERNATING),
        Family("EXAONE MoE", "exaone_moe", _ALTERNATING),
        Family("Llama 4, text", "llama4_text", _CHUNKED),
        Family("AFMoE, Trinity", "afmoe", _ALTERNATING),
        Family("MiMo V2 Flash", "mimo_v2_flash", _ALTERNATING),
        Family("CWM", "cwm", _ALTERNATING | {"bos_token_id": 1}),
        Family("Laguna", "laguna", _ALTERNATING),
        Family("StarCoder 2", "starcoder2"),
        Family("VaultGemma", "vaultgemma", _ALTERNATING),
        Family("Granite with windows", "granite_swa"),
        Family("Granite MoE with windows", "granitemoe_swa"),
        Family(
            "Qwen 2 with windows",
            "qwen2",
            {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1},
        ),
    ),
)
