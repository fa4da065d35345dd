"""Selection of the device and of the data type of the computation."""

import torch

_NATIVE_BF16 = ("avx512_bf16", "amx_bf16")
_VNNI = ("avx512_vnni", "avx_vnni")
_AVX512_CORE = ("avx512_f", "avx512_bw", "avx512_dq", "avx512_vl")


def resolve_device(name: str) -> torch.device:
    """Return the device for a value of `ANTIPHON_DEVICE`; `auto` is CUDA if available, else CPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


def resolve_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return the data type of the computation for a value of `ANTIPHON_DTYPE`.

    For quantised weights (`int8`, `int4`) it is that of `auto`.
    """
    if name not in ("auto", "int8", "int4"):
        dtype: torch.dtype = getattr(torch, name)
        return dtype
    return torch.bfloat16 if device.type == "cuda" else native_cpu_dtype()


def has_fused_attention(device: torch.device) -> bool:
    """Return True if attention runs in Triton kernels; torch's CUDA builds include Triton."""
    return device.type == "cuda"


def native_cpu_dtype() -> torch.dtype:
    """Return bfloat16 if this CPU multiplies it in hardware, where it is faster, else float32."""
    return torch.bfloat16 if has_native_bfloat16() else torch.float32


def has_native_bfloat16() -> bool:
    """Return True if this CPU multiplies bfloat16 in hardware."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in _NATIVE_BF16)


def has_avx512() -> bool:
    """Return True if this CPU has the AVX-512 instructions of servers, with or without bfloat16."""
    capabilities = torch.cpu.get_capabilities()
    return all(capabilities.get(name, False) for name in _AVX512_CORE)


def has_vnni() -> bool:
    """Return True if this CPU multiplies numbers of 8 bits in hardware."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in _VNNI)
