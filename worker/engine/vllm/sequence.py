"""Sequence of the engine over vLLM: with its request, which the drawer reads."""

from worker.engine.interface import GenerationRequest
from worker.engine.sampling.grammar import Matcher
from worker.engine.sequence import Sequence


class VllmSequence(Sequence):
    """A sequence whose blocks are vLLM's."""

    __slots__ = ("request",)

    def __init__(self, request: GenerationRequest, matcher: Matcher | None = None) -> None:
        """Create it; the matcher tells when the grammar ends: the drawer's own one masks."""
        super().__init__(request, matcher)
        self.request = request
