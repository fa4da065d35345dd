"""Environment variables that limit libraries to the instructions of older processors."""

from collections.abc import Mapping

from bench.peers.peer import Isa

AVX2_VARIABLES: Mapping[str, str] = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "DNNL_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
}
"""Variables of oneDNN, under both its names, and of the kernels of torch itself (ATen)."""


def isa_variables(isa: Isa) -> dict[str, str]:
    """Return the variables to add to the environment of a process."""
    return dict(AVX2_VARIABLES) if isa is Isa.AVX2 else {}
