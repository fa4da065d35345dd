"""Arguments of vLLM that the operator may set, in `ANTIPHON_VLLM_ARGS`."""

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class VllmArgs(BaseModel):
    """Arguments under vLLM's own names; those that are not named here have values that must hold.

    Speculative decoding is not among them: vLLM does not call a logits processor then, and that
    processor is what makes a token follow from its seed and position.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    tensor_parallel_size: int | None = Field(None, ge=1)
    pipeline_parallel_size: int | None = Field(None, ge=1)
    enable_expert_parallel: bool | None = None
    distributed_executor_backend: Literal["mp", "ray"] | None = None
    nnodes: int | None = Field(None, ge=1)
    node_rank: int | None = Field(None, ge=0)
    master_addr: str | None = Field(None, min_length=1)
    master_port: int | None = Field(None, ge=1, le=65535)
    quantization: str | None = Field(None, min_length=1)
    load_format: Literal["auto", "safetensors", "fastsafetensors", "runai_streamer"] | None = None
    model_impl: Literal["auto", "vllm", "transformers"] | None = None
    attention_backend: str | None = Field(None, min_length=1)
    language_model_only: bool | None = None
    max_model_len: int | None = Field(None, ge=2)
    max_num_batched_tokens: int | None = Field(None, ge=1)
    block_size: int | None = Field(None, ge=1)
    kv_cache_dtype: str | None = Field(None, min_length=1)
    kv_cache_memory_bytes: int | None = Field(None, ge=1)
    gpu_memory_utilization: float | None = Field(None, gt=0, le=1)
    cpu_offload_gb: float | None = Field(None, ge=0)
    enable_prefix_caching: bool | None = None
    enforce_eager: bool | None = None
    disable_custom_all_reduce: bool | None = None

    @property
    def given(self) -> dict[str, Any]:
        """Arguments that were set."""
        return self.model_dump(exclude_none=True)

    def __str__(self) -> str:
        return json.dumps(self.given) if self.given else ""
