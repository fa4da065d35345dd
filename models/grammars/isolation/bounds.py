"""Bounds on the work that one grammar causes: in the compiler, and in the child that runs it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

GRAMMAR_LIMITS: Mapping[str, Any] = {
    "initial_lexer_fuel": 300_000,
    "step_lexer_fuel": 200_000,
    "step_max_items": 20_000,
    "max_grammar_size": 50_000,
    "max_lexer_states": 20_000,
}
"""Limits of one matcher, in children and in the engine. They do not bound its constructor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """Places for children that may each use the same CPU time."""

    max_cpu_s: float
    num_places: int
    nice: int = 0
    """Nice value of the children: others go first where they have to share a core."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolBounds:
    """Bounds of a pool of children.

    A grammar runs in the first lane and, if that is not enough, again in the next. Expensive
    grammars can so delay each other, but never those that are cheap.
    """

    lanes: tuple[Lane, ...] = (
        Lane(max_cpu_s=0.2, num_places=2),
        Lane(max_cpu_s=2.0, num_places=1, nice=10),
    )
    max_memory_bytes: int = 256 << 20
    """Address space that a child may use beyond that of the process it is forked from."""
    max_child_s: float = 10.0
    """Wall-clock seconds that a child may take."""
    max_wait_s: float = 5.0
    """Seconds to wait for a place in a lane."""
    max_start_s: float = 60.0
    """Seconds that the fork server may take to load a tokenizer before it is replaced."""

    def scaled(self, factor: float) -> "PoolBounds":
        """Return these bounds with every limit multiplied, and the same places."""
        return replace(
            self,
            lanes=tuple(replace(lane, max_cpu_s=lane.max_cpu_s * factor) for lane in self.lanes),
            max_memory_bytes=int(self.max_memory_bytes * factor),
            max_child_s=self.max_child_s * factor,
            max_wait_s=self.max_wait_s * factor,
        )
