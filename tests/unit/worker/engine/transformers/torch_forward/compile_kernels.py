"""Program that compiles the kernels for one GPU generation and prints what each uses.

It needs no GPU. It is a process of its own, since in a test's process Triton's kernels may run in
its interpreter.
"""

import json
import re
import subprocess
import sys
import tempfile
from typing import Any

import triton
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from worker.engine.transformers.torch_forward.fused_attention import (
    HeadShape,
    Tiling,
    decode_tiling,
    prefill_tiling,
)
from worker.engine.transformers.torch_forward.fused_kernel import attend_kernel, combine_kernel

BLOCK_SIZE = 16
SHAPES = [HeadShape(8, group, size, size, 2) for group in (1, 4, 8) for size in (64, 128)]
SHAPES += [HeadShape(8, 4, size, size, 4) for size in (64, 128)]
SHAPES += [HeadShape(16, 1, 192, 128, 2), HeadShape(8, 2, 256, 256, 2)]
TILINGS = {"decode": decode_tiling, "prefill": prefill_tiling}

INDICES = ("query_starts", "lengths", "table_starts", "blocks")


def main() -> None:
    """Print a line of JSON for each kernel; the argument is the generation, 90 for Hopper."""
    capability = int(sys.argv[1])
    for shape in SHAPES:
        for name, tiling_of in TILINGS.items():
            tiling = tiling_of(shape, BLOCK_SIZE)
            number = "fp32" if shape.itemsize == 4 else "bf16"
            written = "fp32" if name == "decode" else number
            types = {"query": number, "keys": number, "values": number, "output": written}
            show(f"{name} {number} {shape}", attend_kernel, types, tiling, capability)
    names = ("VALUE_SIZE", "PADDED_VALUE_SIZE", "SPAN", "NUM_SPLITS")
    decode = decode_tiling(SHAPES[0], BLOCK_SIZE).constants
    tiling = Tiling({name: decode[name] for name in names}, num_warps=4, num_stages=3)
    show("combine", combine_kernel, {"output": "bf16"}, tiling, capability)


def show(name: str, kernel: Any, types: dict[str, str], tiling: Tiling, capability: int) -> None:
    """Compile as for a launch; `types` are those of tensors that are not int32 or float32."""
    signature: dict[str, str] = {}
    for argument in kernel.arg_names:
        if argument in tiling.constants:
            signature[argument] = "constexpr"
        elif argument in INDICES:
            signature[argument] = "*i32"
        elif argument == "scale":
            signature[argument] = "fp32"
        elif argument.endswith("_stride"):
            signature[argument] = "i32" if argument.startswith("query") else "i64"
        else:
            signature[argument] = f"*{types.get(argument, 'fp32')}"
    # A launch marks pointers and strides as aligned; otherwise no load is vectorised.
    aligned = [
        (place,)
        for place, argument in enumerate(kernel.arg_names)
        if signature[argument] != "constexpr" and argument not in (*INDICES, "scale")
    ]
    source = ASTSource(
        fn=kernel,
        signature=signature,
        constexprs=tiling.constants,
        attrs={place: [["tt.divisibility", 16]] for place in aligned},
    )
    options = {"num_warps": tiling.num_warps, "num_stages": tiling.num_stages}
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    found = {
        "name": name,
        "shared_bytes": compiled.metadata.shared,
        "stack_bytes": stack_bytes(compiled.asm["cubin"]),
        "multiplies": re.findall(r"\b(wgmma|mma)\.", compiled.asm["ptx"])[:1],
        "reads_ahead": "cp.async" in compiled.asm["ptx"],
    }
    print(json.dumps(found))


def stack_bytes(cubin: bytes) -> int:
    """Return the bytes of a thread's stack (spills), read by the disassembler that Triton ships."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [knobs.nvidia.cuobjdump.path, "-res-usage", file.name]
        usage = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return max(int(number) for number in re.findall(r"STACK:(\d+)", usage))


if __name__ == "__main__":
    main()
