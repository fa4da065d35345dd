"""How libraries are held to the instructions of older processors, by their environment."""

from collections.abc import Mapping

from bench.peers.peer import Isa

AVX2_VARIABLES: Mapping[str, str] = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "DNNL_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
}
"""Of oneDNN, under both its names, and of torch's own loops."""


def held(isa: Isa) -> dict[str, str]:
    """What to add to a process's environment."""
    return dict(AVX2_VARIABLES) if isa is Isa.AVX2 else {}
