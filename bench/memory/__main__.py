"""Benchmark of the memory of loaded networks: `python -m bench.memory`.

For every kind of weights, both forward passes and the types that one would use: what layers of a
random network take, and the estimate that `models check` shows and each load compares with what is
free. Layers are the difference of two networks; what else the smaller one takes is shown besides.
Ends with code 1 if the layers differ from the estimate by more than a tenth.
"""

import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from bench.memory.growth import MAX_ERROR, NUM_SMALL, Growth, measure
from bench.memory.kinds import KINDS, Kind
from bench.memory.networks import save_network
from bench.report import RESULTS, Circumstances, Grid, publish_grids

_COLUMNS = (
    *("Weights", "Forward pass", "Type", "Estimated, MiB", "Measured, MiB", "Ratio", "Goal"),
    "Besides layers, MiB",
)
_FORWARDS = ("openvino", "torch")
_MIB = 1 << 20


def main(
    num_layers: Annotated[int, typer.Option(min=1, help="Layers that are measured.")] = 2,
    only: Annotated[list[str], typer.Option(help="Part of a kind's name; repeatable.")] = [],  # noqa: B006 - typer reads it
    forward: Annotated[str, typer.Option(help="Forward pass; both if none is named.")] = "",
    results: Annotated[Path, typer.Option(help="Where a section is appended.")] = RESULTS,
) -> None:
    """Load networks one after the other, and print the table."""
    circumstances = Circumstances.now(shlex.join(["python", "-m", "bench.memory", *sys.argv[1:]]))
    rows: list[Sequence[str]] = []
    is_met = True
    for kind in KINDS.values():
        if only and not any(part in kind.name for part in only):
            continue
        passes = [name for name in _FORWARDS if forward in name]
        for pass_name, type_name, growth in _measure(kind, num_layers, passes):
            is_met &= growth.is_as_expected
            rows.append((kind.name, pass_name, type_name, *_cells(growth)))
            print(*rows[-1], sep=", ", flush=True)
    title = f"Memory of {num_layers} layers beside its estimate"
    publish_grids(title, circumstances, [Grid(columns=_COLUMNS, rows=rows)], results)
    raise typer.Exit(code=int(not is_met))


def _measure(
    kind: Kind, num_layers: int, forwards: Sequence[str]
) -> Iterator[tuple[str, str, Growth]]:
    with TemporaryDirectory(prefix="memory-") as temporary:
        small, large = Path(temporary) / "small", Path(temporary) / "large"
        save_network(small, kind, NUM_SMALL)
        save_network(large, kind, NUM_SMALL + num_layers)
        for forward in forwards:
            for dtype in kind.types(forward):
                yield forward, dtype, measure(small, large, forward, dtype)


def _cells(growth: Growth) -> tuple[str, ...]:
    measured, expected = growth.of_layers
    sizes = f"{expected / _MIB:.0f}", f"{measured / _MIB:.0f}"
    goal = "met" if growth.is_as_expected else "missed"
    besides = f"{growth.besides / _MIB:.0f}"
    return (*sizes, f"{growth.ratio:.2f}", f"1 ± {MAX_ERROR}: {goal}", besides)


if __name__ == "__main__":
    typer.run(main)
