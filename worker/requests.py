"""From a response and its parameters to what the engine is asked for: one sequence a choice."""

from collections.abc import Mapping
from dataclasses import replace

from models.chat import ChatEncoder, EncodedPrompt
from models.grammar import grammar_of
from models.grammar_after import after_thought
from models.stored import StoredResponse
from models.thinking import thinks
from models.wire.parameters import GenerationParameters
from worker.breakers import BreakerCompiler
from worker.engine import GenerationRequest, choice_seed
from worker.generation import Generation
from worker.images import engine_images
from worker.sampling import sampling_params


def requests_of(
    generation: Generation,
    parameters: GenerationParameters,
    prompt: EncodedPrompt,
    found: Mapping[int, list[int]],
    *,
    breakers: BreakerCompiler,
    encoder: ChatEncoder,
) -> list[GenerationRequest]:
    """One for each choice that is still to be generated, after the tokens `found` of it."""
    params = sampling_params(
        parameters,
        breakers,
        seed=_seed_without_one(generation.stored),
        max_tokens=encoder.context_length - len(prompt),
    )
    grammar = grammar_of(parameters)
    if grammar and encoder.think_tags and thinks(parameters.effort):
        grammar = after_thought(grammar, encoder.think_tags, is_open=prompt.opens_thought)
    images = engine_images(prompt)
    return [
        GenerationRequest(
            sequence_id=choice.sequence_id,
            prompt=prompt.token_ids,
            images=images,
            generated=found.get(number, ()),
            params=replace(params, seed=choice_seed(params.seed, number)),
            grammar=grammar,
            cache_salt=cache_salt(generation.stored.project_id, parameters.prompt_cache_key),
        )
        for number, choice in enumerate(generation.choices)
        if choice.is_generating
    ]


def cache_salt(project_id: str, prompt_cache_key: str | None) -> bytes:
    """Prefixes are shared within a project among requests with the same `prompt_cache_key`."""
    return "\0".join(filter(None, (project_id, prompt_cache_key))).encode()


def _seed_without_one(stored: StoredResponse) -> int:
    """Drawn from the id when the client gave no seed: a second attempt draws the same."""
    return stored.id.int % 2**63
