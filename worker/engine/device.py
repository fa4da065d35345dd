"""Where tensors live, and in which type that place computes fastest."""

import torch

_NATIVE_BF16 = ("avx512_bf16", "amx_bf16")


def resolve_device(name: str) -> torch.device:
    """The device for a value of `ANTIPHON_DEVICE`; `auto` is CUDA where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


def resolve_dtype(name: str, device: torch.device) -> torch.dtype:
    """The type to compute in for a value of `ANTIPHON_DTYPE`."""
    if name != "auto":
        dtype: torch.dtype = getattr(torch, name)
        return dtype
    return torch.bfloat16 if device.type == "cuda" else native_cpu_dtype()


def has_fused_attention(device: torch.device) -> bool:
    """Whether attention is to run in Triton's kernels there: CUDA builds of torch bring Triton."""
    return device.type == "cuda"


def native_cpu_dtype() -> torch.dtype:
    """bfloat16 where this CPU multiplies it in hardware (there it is faster), else float32."""
    capabilities = torch.cpu.get_capabilities()
    is_native = any(capabilities.get(name, False) for name in _NATIVE_BF16)
    return torch.bfloat16 if is_native else torch.float32
