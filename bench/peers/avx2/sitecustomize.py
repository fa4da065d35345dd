"""Startup hook of Python (sitecustomize) that makes torch report no CPU features beyond AVX2.

vLLM selects its build of the kernels by them, and Inductor its compilation target.
"""

import torch.cpu


def _no() -> bool:
    return False


for _name in (
    "_is_avx512_supported",
    "_is_avx512_bf16_supported",
    "_is_vnni_supported",
    "_is_amx_tile_supported",
    "_is_amx_fp16_supported",
):
    setattr(torch.cpu, _name, _no)
