"""Drawer: a logits processor of vLLM that decides every token by our sampling.

vLLM then finds only one token to choose. A token depends on its own row alone, by the seed, the
position and what the request asks for, as in our own engine.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from vllm import SamplingParams
from vllm.v1.sample.logits_processor import LogitsProcessor, process_dict_updates

from worker.engine.sampling.device_copy import upload
from worker.engine.sampling.forced_prefix import apply_forced_prefixes
from worker.engine.sampling.grammar import GrammarMasker
from worker.engine.sampling.penalties import penalise
from worker.engine.sampling.sampler import sample
from worker.engine.vllm.drawing import REQUEST_KEY, compiler_of, note_failure, setup_of
from worker.engine.vllm.image_processing import use_configured_processor
from worker.engine.vllm.row import Row

if TYPE_CHECKING:
    from vllm.config import VllmConfig
    from vllm.v1.sample.logits_processor import BatchUpdate

_NO_SCORE = "no token has a finite score"


class TokenDrawer(LogitsProcessor):
    """Logits processor with the state of each row of the batch."""

    def __init__(
        self, vllm_config: "VllmConfig", device: torch.device, is_pin_memory: bool
    ) -> None:
        """Create the drawer of one engine, in the process that computes the logits.

        It is the first of ours that vLLM creates there, before it looks for an image processor.
        """
        use_configured_processor(vllm_config)
        self._setup = setup_of(vllm_config.additional_config)
        vocab_size = vllm_config.model_config.get_vocab_size()
        self._compiler = compiler_of(self._setup, vocab_size)
        self._masker = GrammarMasker(vllm_config.scheduler_config.max_num_seqs, vocab_size)
        self._rows: dict[int, Row] = {}

    def is_argmax_invariant(self) -> bool:
        """Return False: what is drawn need not be the likeliest token."""
        return False

    def update_state(self, batch_update: "BatchUpdate | None") -> None:
        """Follow the changes of the batch."""
        process_dict_updates(self._rows, batch_update, self._new_row)

    @torch.no_grad()
    def apply(self, logits: Tensor) -> Tensor:
        """Draw a token for each row, and make it the only choice; waits for the device once."""
        if not self._rows:
            return logits
        rows = [self._rows[index] for index in range(len(logits))]
        tokens = self._draw(logits, rows)
        failed = [index for index, row in enumerate(rows) if row.error is not None]
        if failed:
            logits[failed] = 0.0  # of NaN, no token could be the likeliest
        columns = upload(torch.tensor(tokens)[:, None], logits.device)
        return logits.scatter_(1, columns, torch.inf)

    def _draw(self, scores: Tensor, rows: list[Row]) -> list[int]:
        """Return the tokens; change the scores in place."""
        for row in rows:
            row.read_output()
        penalise(scores, [row.penalties for row in rows])
        apply_forced_prefixes(scores, [row.forced_prefix for row in rows])
        self._masker.apply(scores, [row.matcher for row in rows])
        sampled = sample(scores, [row.draw for row in rows]).tokens
        return [self._settle(row, token) for row, token in zip(rows, sampled, strict=True)]

    def _settle(self, row: Row, token: int | None) -> int:
        """Return the token of a row, or the one that tells of its failure."""
        if row.matcher is not None and row.matcher.error is not None:
            row.error = row.matcher.error
        elif token is None:
            row.error = row.error or _NO_SCORE
        if row.error is None:
            assert token is not None
            return token
        note_failure(self._setup.key, row.sequence_id, row.error)
        return self._setup.failure_token

    def _new_row(
        self, params: SamplingParams, _prompt: list[int] | None, output: list[int]
    ) -> Row | None:
        asked: dict[str, Any] = params.extra_args or {}
        return Row(asked[REQUEST_KEY], output, self._compiler)
