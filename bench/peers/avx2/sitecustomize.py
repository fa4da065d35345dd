"""Found by Python at its start: torch says of the processor that it ends at AVX2.

vLLM chooses by that which build of its kernels it loads, and what Inductor compiles for.
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
