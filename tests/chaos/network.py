"""Tiny random network of the trials with vLLM, and its answers as transformers computes them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from tests.chaos.answers import Answer
from tests.chaos.audit import Row
from tests.chaos.plan import Job
from tests.chaos.returns import PROBE
from tests.tiny_llama import tiny_llama
from tests.unit.models.tiny_tokenizer import tiny_tokenizer

_TEMPLATE = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
_NUM_LETTERS = 94
"""Tokens of one printable letter each, which are the first."""
_END = 256
_TIE = 1e-3
"""Difference of logits below which either token may come."""


def save_network(folder: Path) -> None:
    """Save a network that two processes can share, whose answers are letters of ASCII.

    So a token is one letter, and the next turn's prompt has the tokens of the answer.
    """
    torch.manual_seed(0)
    config = tiny_llama(
        vocab_size=_END + 1, eos_token_id=_END, head_dim=32, max_position_embeddings=1024
    )
    network: Any = LlamaForCausalLM(config)
    with torch.no_grad():
        network.lm_head.weight[_NUM_LETTERS:_END] = 0.0
    network.save_pretrained(folder)
    tiny_tokenizer(_TEMPLATE).save_pretrained(folder)


class Oracle:
    """Judge of greedy answers, of which each token must be the likeliest after those before."""

    def __init__(self, folder: Path) -> None:
        network: Any = AutoModelForCausalLM
        self._network = network.from_pretrained(folder, dtype=torch.float32).eval()
        self._tokenizer: Any = tiny_tokenizer()

    def answers(self, rows: Mapping[str, Row], jobs: Iterable[Job]) -> dict[str, Answer]:
        """Return the answer that was due for each response that ended by itself."""
        by_number = {str(job.number): job for job in jobs}
        found: dict[str, Answer] = {}
        for response_id, row in rows.items():
            if row.status in ("completed", "incomplete") and row.store:
                job = by_number.get(row.metadata.get("job", ""))
                limit = job.max_tokens if job else int(str(PROBE["max_output_tokens"]))
                found[response_id] = self.answer(_prompt(row, rows, by_number), row.text, limit)
        return found

    @torch.no_grad()
    def answer(self, prompt: str, text: str, limit: int) -> Answer:
        """Return the answer to a prompt; of tokens that are as likely, those of `text`."""
        given = self._encode(prompt)
        tokens = self._encode(text)[:limit]
        logits = self._network(torch.tensor([given + tokens])).logits[0, len(given) - 1 :]
        is_likely = logits >= logits.max(-1, keepdim=True).values - _TIE
        best = logits.argmax(-1).tolist()
        for place, token in enumerate(tokens):
            if not is_likely[place, token]:
                return self._begun(text[:place], best[place])
        if len(tokens) == limit:
            return Answer(text[:limit], limit, is_complete=False)
        if is_likely[len(tokens), _END]:
            return Answer(text, len(tokens) + 1, is_complete=True)
        return self._begun(text, best[len(tokens)])

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text))

    def _begun(self, text: str, token: int) -> Answer:
        """Return the beginning of an answer, up to where another text differs from it."""
        following = "" if token == _END else self._tokenizer.decode([token])
        return Answer(text + following, len(text) + 1, is_complete=token == _END)


def _prompt(row: Row, rows: Mapping[str, Row], jobs: Mapping[str, Job]) -> str:
    """Return the prompt of a response, with all turns before."""
    job = jobs.get(row.metadata.get("job", ""))
    before = ""
    if row.previous_id is not None:
        parent = rows[row.previous_id]
        before = f"{_prompt(parent, rows, jobs)}{parent.text}\n"
    return f"{before}{job.text if job else PROBE['input']}\n"
