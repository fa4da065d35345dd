"""Where tensors live, and in which type that place computes fastest."""

import torch

_NATIVE_BF16 = ("avx512_bf16", "amx_bf16")


def resolve_device(name: str) -> torch.device:
    """The device for a value of `ANTIPHON_DEVICE`; `auto` is CUDA where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


def resolve_dtype(name: str, device: torch.device) -> torch.dtype:
    """The type to compute in for a value of `ANTIPHON_DTYPE`; weights in fewer bits are computed in
    that of `auto`."""
    if name not in ("auto", "int8", "int4"):
        dtype: torch.dtype = getattr(torch, name)
        return dtype
    return torch.bfloat16 if device.type == "cuda" else native_cpu_dtype()


def has_fused_attention(device: torch.device) -> bool:
    """Whether attention is to run in Triton's kernels there: CUDA builds of torch bring Triton."""
    return device.type == "cuda"


def native_cpu_dtype() -> torch.dtype:
    """bfloat16 where this CPU multiplies it in hardware (there it is faster), else float32."""
    return torch.bfloat16 if has_native_bfloat16() else torch.float32


def has_native_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in _NATIVE_BF16)
