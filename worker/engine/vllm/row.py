"""State of one row of vLLM's batch: what the next token of its sequence depends on."""

from collections.abc import Sequence

from worker.engine.interface import ForcedPrefix, GenerationRequest
from worker.engine.sampling.grammar import GrammarCompiler, Matcher
from worker.engine.sampling.penalties import Penalties
from worker.engine.sampling.sampler import Draw


class Row:
    """Penalties, grammar and position of a sequence, which follow from its tokens.

    So they are the same when vLLM has put a sequence off, or another attempt goes on with it.
    """

    def __init__(
        self, request: GenerationRequest, output: list[int], compiler: GrammarCompiler
    ) -> None:
        """Begin after the tokens of earlier attempts; vLLM appends its own to `output`."""
        self.sequence_id = request.sequence_id
        self.params = request.params
        self.error: str | None = None
        self.matcher: Matcher | None = None
        self.penalties = Penalties.from_request(request)
        self._given = request.generated
        self._forced_prefix = request.forced_prefix
        self._output = output
        self._num_read = 0
        if request.grammar is not None:
            self.matcher = compiler.matcher(request.grammar, request.json)
            self.matcher.advance(request.generated)

    @property
    def draw(self) -> Draw:
        """Parameters and position of the next token."""
        return Draw(self.params, len(self._given) + self._num_read)

    @property
    def forced_prefix(self) -> tuple[ForcedPrefix | None, Sequence[int]]:
        """Forced prefix, if any, and the tokens generated so far, up to the prefix's length."""
        if self._forced_prefix is None:
            return None, ()
        length = len(self._forced_prefix.token_ids)
        return self._forced_prefix, [*self._given[:length], *self._output[:length]][:length]

    def read_output(self) -> None:
        """Read the tokens that vLLM has appended since the last call."""
        new = self._output[self._num_read :]
        self._num_read += len(new)
        if self.penalties is not None:
            for token_id in new:
                self.penalties.advance(token_id)
        if self.matcher is not None and new:
            self.matcher.advance(new)
