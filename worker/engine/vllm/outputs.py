"""Conversion between our requests and results and those of vLLM."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from worker.engine.interface import LOGPROB_FLOOR, Logprobs
from worker.engine.vllm.drawing import REQUEST_KEY
from worker.engine.vllm.sequence import VllmSequence

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.inputs import MultiModalInput, TokensInput
    from vllm.outputs import RequestOutput


def to_prompt(sequence: VllmSequence) -> "TokensInput | MultiModalInput":
    """Return the tokens so far as a prompt: those of earlier attempts are computed like one."""
    from vllm.inputs import tokens_input

    if sequence.image_input is not None:
        return sequence.image_input
    return tokens_input(list(sequence.tokens), cache_salt=sequence.cache_salt.hex() or None)


def to_params(sequence: VllmSequence) -> "SamplingParams":
    """Return parameters that leave everything to the drawer but the number of tokens."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        temperature=0.0,
        # A prompt alone is computed with the token after it, which is not delivered.
        max_tokens=max(1, sequence.params.max_tokens - sequence.num_generated),
        ignore_eos=True,
        logprobs=sequence.params.num_top_logprobs,
        detokenize=False,
        output_kind=RequestOutputKind.DELTA,
        extra_args={REQUEST_KEY: sequence.request},
        skip_clone=True,
    )


def read_token(output: "RequestOutput") -> int | None:
    """Return the token that a step has added; None if it only computed a part of the prompt."""
    token_ids = output.outputs[0].token_ids if output.outputs else ()
    return int(token_ids[0]) if token_ids else None


def read_logprobs(output: "RequestOutput", num_top: int | None) -> Logprobs | None:
    """Return the log probabilities of the token that a step has added, if they were asked for."""
    found: Any = output.outputs[0].logprobs
    if num_top is None or not found:
        return None
    return _convert(found[0], int(output.outputs[0].token_ids[0]), num_top)


def _convert(entries: Mapping[int, Any], drawn: int, num_top: int) -> Logprobs:
    """Convert vLLM's entries by token: the drawn one, and the likeliest with their ranks."""
    ranked = sorted(entries.items(), key=lambda item: int(item[1].rank))
    if len(ranked) > num_top:  # the drawn token is none of the likeliest
        ranked = [item for item in ranked if item[0] != drawn]
    top = tuple((token_id, _floored(entry.logprob)) for token_id, entry in ranked)
    return Logprobs(_floored(entries[drawn].logprob), top)


def _floored(value: float) -> float:
    return max(float(value), LOGPROB_FLOOR)
