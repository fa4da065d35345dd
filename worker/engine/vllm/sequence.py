"""Sequence of the engine over vLLM: with its request, which the drawer reads."""

from typing import TYPE_CHECKING

from worker.engine.interface import GenerationRequest
from worker.engine.sampling.grammar import Matcher
from worker.engine.sequence import Sequence

if TYPE_CHECKING:
    from vllm.inputs import MultiModalInput


class VllmSequence(Sequence):
    """A sequence whose blocks are vLLM's."""

    __slots__ = ("image_input", "request")

    def __init__(
        self,
        request: GenerationRequest,
        matcher: Matcher | None = None,
        image_input: "MultiModalInput | None" = None,
    ) -> None:
        """Create it; the matcher tells when the grammar ends: the drawer's own one masks.

        `image_input` is the prompt as vLLM takes it, if it has images.
        """
        super().__init__(request, matcher)
        self.request = request
        self.image_input = image_input
