"""Language models in which every layer attends to all preceding tokens."""

from bench.families.family import Family, Group

_LLAMA3_ROPE = {
    **{"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0},
    **{"high_freq_factor": 4.0, "original_max_position_embeddings": 128},
}
_YARN = {
    **{"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0},
    **{"original_max_position_embeddings": 64},
}
_FULL = {"sliding_window": None}
_ALL_FULL = {"layer_types": ["full_attention"] * 2, "sliding_window": None}
_ALL_HEADS = {"num_key_value_heads": 4}

FULL_ATTENTION = Group(
    "Full attention",
    (
        Family("Llama 2", "llama"),
        Family("Llama 3.1, 3.2, 3.3", "llama", {"rope_parameters": _LLAMA3_ROPE}),
        Family("Mistral 7B v0.2 and later", "mistral", _FULL),
        Family("Ministral 3, text", "ministral3", _FULL),
        Family("Mistral Small 3, text", "mistral", {**_FULL, "head_dim": 32}),
        Family("Qwen 2, 2.5", "qwen2"),
        Family("Qwen 2.5 with YaRN", "qwen2", {"rope_parameters": _YARN}),
        Family("Qwen 3", "qwen3"),
        Family("Qwen 1.5, 2 MoE", "qwen2_moe"),
        Family("Qwen 3 MoE", "qwen3_moe"),
        Family("Gemma 1", "gemma"),
        Family("Mixtral", "mixtral", _FULL),
        Family("Phi 1, 1.5, 2", "phi"),
        Family("Phi-4", "phi3", _FULL),
        Family("Phi-3.5-MoE without longrope", "phimoe", _FULL),
        Family("DeepSeek V2", "deepseek_v2", _ALL_HEADS),
        Family("DeepSeek V3, R1", "deepseek_v3", _ALL_HEADS),
        Family("GLM-4 9B", "glm"),
        Family("GLM-4-0414", "glm4"),
        Family("GLM-4.5, 4.6", "glm4_moe"),
        Family("MiniMax M2", "minimax_m2"),
        Family("Granite 3", "granite", {"attention_multiplier": 0.1, "residual_multiplier": 0.5}),
        Family("Granite 3 MoE", "granitemoe"),
        Family("Granite 4 dense", "granitemoehybrid", _ALL_FULL | {"num_local_experts": 0}),
        Family("Granite 4 MoE without Mamba", "granitemoehybrid", _ALL_FULL),
        Family("SmolLM 1, 2", "llama", {"tie_word_embeddings": True}),
        Family("SmolLM 3", "smollm3"),
        Family("OLMo 1", "olmo"),
        Family("OLMo 2", "olmo2"),
        Family("OLMoE", "olmoe"),
        Family("Command R", "cohere"),
        Family("ERNIE 4.5", "ernie4_5"),
        Family("ERNIE 4.5 MoE", "ernie4_5_moe"),
        Family("Hunyuan v3", "hy_v3"),
        Family("Seed-OSS", "seed_oss"),
        Family("Apertus", "apertus"),
        Family("BitNet", "bitnet"),
        Family("Arcee", "arcee"),
        Family("dots.llm1", "dots1", _ALL_FULL),
        Family("Solar Open", "solar_open"),
        Family("StarCoder 2 without window", "starcoder2", _FULL),
        Family("EXAONE 4 1.2B", "exaone4", _ALL_FULL),
        Family("JetMoE", "jetmoe"),
        Family("MiniCPM 3", "minicpm3", _ALL_HEADS),
        Family("Helium", "helium"),
        Family("GPT-2", "gpt2"),
        Family("GPT-J", "gptj"),
        Family("GPT-NeoX, Pythia", "gpt_neox"),
        Family("OPT", "opt"),
        Family("CodeGen", "codegen"),
    ),
)
