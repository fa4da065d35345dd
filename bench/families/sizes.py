"""Fields of configurations, made small: each applies to the configurations that have it."""

from typing import Any

VOCAB_SIZE = 512
NUM_PROMPT_TOKENS = 480
"""Token ids below this number occur in prompts; those above are of images and the like."""
WINDOW = 8
"""Number of tokens that a sliding-window layer sees, and that a chunk has."""
MAX_POSITIONS = 32768

_TOKENS: dict[str, Any] = {
    **{"bos_token_id": None, "eos_token_id": 500, "pad_token_id": None},
    **{"image_token_id": 481, "video_token_id": 482, "image_token_index": 481},
    **{"video_token_index": 482, "vision_start_token_id": 483, "vision_end_token_id": 484},
    **{"image_start_token_id": 483, "image_end_token_id": 484, "boi_token_id": 483},
    **{"eoi_token_id": 484, "boi_token_index": 483, "eoi_token_index": 484},
    **{"video_start_token_id": 485, "video_end_token_id": 486},
    **{"audio_token_id": 487, "boa_token_id": 488, "eoa_token_id": 489, "eoa_token_index": 489},
}
_EXPERTS: dict[str, Any] = {
    **{"num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "moe_num_experts": 4},
    **{"num_experts_per_tok": 2, "moe_k": 2, "top_k_experts": 2, "moe_intermediate_size": 32},
    **{"shared_expert_intermediate_size": 32, "moe_shared_expert_intermediate_size": 32},
    **{"shared_intermediate_size": 64, "intermediate_size_mlp": 64, "dense_intermediate_size": 64},
    **{"n_shared_experts": 1, "num_shared_experts": 1, "moe_num_shared_experts": 1},
    **{"n_group": 1, "topk_group": 1, "first_k_dense_replace": 1, "num_dense_layers": 1},
}
_LATENT_ATTENTION: dict[str, Any] = {
    **{"q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8},
    **{"v_head_dim": 16},
}
_STATES: dict[str, Any] = {
    **{"linear_key_head_dim": 16, "linear_value_head_dim": 16, "linear_num_key_heads": 2},
    **{"linear_num_value_heads": 4, "linear_head_dim": 16, "linear_num_heads": 4},
    **{"mamba_d_ssm": 64, "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 16},
    **{"mamba_n_groups": 1, "mamba_expand": 1, "mamba_chunk_size": 16, "mamba_num_heads": 4},
    **{"mamba_head_dim": 16, "ssm_state_size": 16, "n_groups": 1, "expand": 1, "chunk_size": 16},
    **{"state_size": 16, "use_mamba_kernels": False},
}
_OTHERS: dict[str, Any] = {
    **{"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": MAX_POSITIONS, "rotary_dim": 8},
    **{"kv_channels": 16, "ffn_dim": 128, "word_embed_proj_dim": 64, "init_std": 0.2},
    **{"index_n_heads": 2, "index_head_dim": 16, "index_topk": 16},
    **{"vocab_size_per_layer_input": VOCAB_SIZE, "hidden_size_per_layer_input": 16},
    **{"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4},
}

SIZES: dict[str, Any] = {
    **{"vocab_size": VOCAB_SIZE, "tie_word_embeddings": False, "initializer_range": 0.2},
    **{"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2},
    **{"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16},
    **{"max_position_embeddings": MAX_POSITIONS},
    **{"sliding_window": WINDOW, "attention_chunk_size": WINDOW},
    **_TOKENS,
    **_EXPERTS,
    **_LATENT_ATTENTION,
    **_STATES,
    **_OTHERS,
}
"""Fields of language models. The weights vary enough that rounding does not change a choice."""

VISION_SIZES: dict[str, Any] = {
    **{"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "depth": 2},
    **{"num_attention_heads": 2, "num_key_value_heads": 2, "num_heads": 2, "head_dim": 16},
    **{"image_size": 32, "patch_size": 8, "initializer_range": 0.2, "in_channels": 3},
    **{"num_channels": 3, "out_hidden_size": 64, "deepstack_visual_indexes": (0,)},
    **{"fullatt_block_indexes": (1,), "num_position_embeddings": 16, "spatial_merge_size": 2},
    **{"temporal_patch_size": 2, "window_size": 32, "vision_output_dim": 64},
    **{"projector_input_dim": 64, "projector_output_dim": 64, "position_embedding_size": 64},
    **{"pos_emb_height": 8, "pos_emb_width": 8},
}
"""Fields of vision parts."""
