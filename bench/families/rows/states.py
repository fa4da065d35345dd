"""Language models whose layers keep a state per sequence: linear attention, Mamba, convolutions."""

from bench.families.family import Family, Group

_HYBRID = {"layer_types": ["linear_attention", "full_attention"]}
_CONVOLUTIONS = {"layer_types": ["conv", "full_attention"]}
_ALL_HEADS = {"num_key_value_heads": 4}

STATES = Group(
    "A state per sequence",
    (
        Family("Qwen3-Next", "qwen3_next", _HYBRID),
        Family("Qwen 3.5, 3.6, text", "qwen3_5_text", _HYBRID),
        Family("Qwen 3.5, 3.6 MoE, text", "qwen3_5_moe_text", _HYBRID),
        Family("Kimi Linear", "kimi_linear", _HYBRID | _ALL_HEADS),
        Family("Granite 4 hybrid", "granitemoehybrid", _HYBRID),
        Family(
            "Nemotron-H, Nemotron 3",
            "nemotron_h",
            {
                "layers_block_type": ["linear_attention", "moe", "full_attention", "mlp"],
                "num_hidden_layers": 4,
            },
        ),
        Family("Falcon-H1", "falcon_h1"),
        Family("LFM2", "lfm2", _CONVOLUTIONS),
        Family("LFM2 MoE", "lfm2_moe", _CONVOLUTIONS),
        Family(
            "LFM3",
            "lfm3",
            {
                "layer_types": ["conv", "full_attention", "sliding_attention"],
                "num_hidden_layers": 3,
            },
        ),
        Family("Bamba", "bamba", {"attn_layer_indices": [1]}),
        Family("OLMo hybrid", "olmo_hybrid", _HYBRID),
        Family("Ling 2.5, Ring 2.5", "bailing_hybrid", _HYBRID | _ALL_HEADS),
        Family("Mamba 2", "mamba2", {"num_heads": 4}),
        Family("Jamba", "jamba", {"attn_layer_period": 2, "attn_layer_offset": 1}),
        Family("MiniMax-01", "minimax", _HYBRID | {"sliding_window": None}),
        Family("Zamba 2", "zamba2", {"layers_block_type": ["mamba", "hybrid"]}),
        Family("Falcon-Mamba", "falcon_mamba"),
    ),
)
