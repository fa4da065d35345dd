"""Models that are refused: their attention is none of the engine's, or they generate no text."""

from bench.families.family import Family, Group

_ALL_HEADS = {"num_key_value_heads": 4}
_FEW_BLOCKS = {"index_block_size": 16, "index_topk_blocks": 2}

REFUSED = Group(
    "Refused",
    (
        Family("DeepSeek V3.2", "deepseek_v32", _ALL_HEADS),
        Family("DeepSeek V4", "deepseek_v4"),
        Family("GLM-5", "glm_moe_dsa", _ALL_HEADS),
        Family(
            "Mistral Large 4",
            "mistral_large4",
            {"text_config": _ALL_HEADS},
            kind="images",
        ),
        Family(
            "MiniMax M3 sparse",
            "minimax_m3_vl_text",
            {"layer_types": ["full_attention", "minimax_m3_sparse"], **_FEW_BLOCKS},
        ),
        Family("DiffLlama", "diffllama"),
        Family("RecurrentGemma", "recurrent_gemma"),
        Family("xLSTM", "xlstm"),
        Family("RWKV", "rwkv"),
        Family("Doge", "doge", {"keep_window_size": 16, "sliding_window": None}),
        Family("T5", "t5", kind="encoder-decoder"),
        Family("BERT", "bert", kind="embeddings"),
        Family("Qwen3-Embedding", "qwen3", kind="embeddings"),
        Family("Rerankers on Qwen 3", "qwen3", kind="reranker"),
    ),
    is_served=False,
)
