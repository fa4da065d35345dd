"""Checkpoint of a family: its control tokens, a template that shows its notation, a tiny network.

The network is a GPT-2 without layers' contributions: the embedding of a position decides which
token comes next, so that it writes any text after a prompt of known length, whatever it reads.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from tests.chat_styles.tokenizers_of_styles import byte_level
from tests.unit.worker.parsing.native_turns import NativeTurn

_SPECIAL = re.compile(
    r"<\|[^<>|\s]+\|?>|<\|\"\|>|<[a-z_]+\|>|<｜[^<>｜]+｜>|｜DSML｜|\[/?[A-Z_]+\]"  # noqa: RUF001
    r"|</?(?:start_function_call|end_function_call|escape)>"
)
_ADDED = re.compile(r"</?(?:think|seed:think|tool_call|minimax:tool_call|seed:tool_call)>")
"""Tokens that the families have as added ones, which decoders show."""
_END = "<end>"
_CALL_END = "<|call|>"
"""Token after a call of gpt-oss, which ends its output."""
_CONTEXT = 4096
_SIZE = 256
"""Hidden size: embeddings of different tokens are all but orthogonal."""
_TEMPLATE = (
    "{%% set notation = %r %%}{%% if tools %%}{{ tools | tojson }}\n{%% endif %%}"
    "{%% for message in messages %%}{{ message['role'] }}: {{ message['content'] or '' }}"
    "{%% if message['tool_calls'] %%}{{ message['tool_calls'] | tojson }}{%% endif %%}\n"
    "{%% endfor %%}assistant: "
)


@dataclass(frozen=True)
class NativeCheckpoint:
    """Folder of a checkpoint without its weights, which depend on the length of the prompt."""

    folder: Path
    tokenizer: PreTrainedTokenizerFast
    end_of_thought: int | None
    """First token of what ends its reasoning; None if it does not reason."""

    def write_network(self, turn: str, num_prompt: int) -> None:
        """Save the network that writes the turn, and ends, after a prompt of this length."""
        encode: Any = self.tokenizer.encode
        tokens = [*encode(turn, add_special_tokens=False), self.tokenizer.eos_token_id]
        network = _network(tokens, num_prompt, GPT2Config.from_pretrained(self.folder))
        network.generation_config.eos_token_id = network.config.eos_token_id
        network.save_pretrained(self.folder)


def write_checkpoint(folder: Path, turn: NativeTurn) -> NativeCheckpoint:
    """Write tokenizer, template and config.json of the family of a turn."""
    text = f"{turn.marks} {turn.turn}"
    special = [*dict.fromkeys(_SPECIAL.findall(text)), _END]
    added = [token for token in dict.fromkeys(_ADDED.findall(text)) if token not in special]
    tokens = [AddedToken(token, special=True, normalized=False) for token in special]
    tokens += [AddedToken(token, special=False, normalized=False) for token in added]
    wrap: Any = PreTrainedTokenizerFast
    tokenizer = wrap(tokenizer_object=byte_level(tokens), eos_token=_END)
    tokenizer.chat_template = _TEMPLATE % turn.marks
    tokenizer.save_pretrained(folder)
    ends = [tokenizer.get_vocab()[token] for token in (_END, _CALL_END) if token in special]
    GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=_CONTEXT,
        n_embd=_SIZE,
        n_layer=1,
        n_head=4,
        bos_token_id=None,
        eos_token_id=ends,
        tie_word_embeddings=False,
    ).save_pretrained(folder)
    tags = turn.turn_format.think_tags
    ends = tokenizer.encode(tags.closer, add_special_tokens=False) if tags else [None]
    return NativeCheckpoint(folder, tokenizer, ends[0])


def _network(tokens: list[int], num_prompt: int, config: GPT2Config) -> Any:
    """Return a network whose logits depend on the position alone."""
    torch.manual_seed(0)
    network: Any = GPT2LMHeadModel(config)
    body = network.transformer
    with torch.no_grad():
        network.lm_head.weight.copy_(torch.randn(config.vocab_size, _SIZE))
        body.wte.weight.zero_()
        body.wpe.weight.copy_(torch.randn(_CONTEXT, _SIZE))
        # The logits of a token are computed at the position before it.
        start = num_prompt - 1
        body.wpe.weight[start : start + len(tokens)] = network.lm_head.weight[tokens]
        for projection in (body.h[0].attn.c_proj, body.h[0].mlp.c_proj):
            projection.weight.zero_()
            projection.bias.zero_()
    return network
