"""From a response and its parameters to what the engine is asked for: one sequence a choice."""

from dataclasses import replace

from models.chat import ChatEncoder, EncodedPrompt
from models.generated import last_turn
from models.grammar import grammar_of
from models.grammar_after import after_thought
from models.search_grammar import search_alone, search_or
from models.stored import StoredResponse
from models.thinking import thinks
from models.web_search import must_search, offered_search
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
    *,
    breakers: BreakerCompiler,
    encoder: ChatEncoder,
) -> list[GenerationRequest]:
    """One for each choice that is still to be generated, after the tokens it has."""
    params = sampling_params(
        parameters,
        breakers,
        seed=_seed_without_one(generation.stored),
        max_tokens=encoder.context_length - len(prompt),
    )
    images = engine_images(prompt)
    requests = []
    for number, choice in enumerate(generation.choices):
        if not choice.is_generating:
            continue
        found = generation.tokens_of(choice)
        read, written = last_turn(found)
        num_before = sum(token_id >= 0 for token_id in found) - len(written)
        seed = choice_seed(choice_seed(params.seed, number), choice.turn)
        room = min(params.max_tokens - num_before, encoder.context_length - len(prompt) - len(read))
        requests.append(
            GenerationRequest(
                sequence_id=choice.sequence_id,
                prompt=[*prompt.token_ids, *read],
                images=images,
                generated=written,
                params=replace(params, seed=seed, max_tokens=room),
                grammar=turn_grammar(
                    parameters,
                    encoder,
                    turn=choice.turn,
                    may_search=generation.may_search(),
                    opens_thought=choice.opens_thought,
                ),
                cache_salt=cache_salt(generation.stored.project_id, parameters.prompt_cache_key),
            )
        )
    return requests


def turn_grammar(
    parameters: GenerationParameters,
    encoder: ChatEncoder,
    *,
    turn: int,
    may_search: bool,
    opens_thought: bool,
) -> str | None:
    """What a turn must follow: a thought is free, a search may or must come before the answer."""
    grammar = grammar_of(parameters)
    if may_search and offered_search(parameters) is not None:
        if must_search(parameters) and turn == 0:
            grammar = search_alone()
        elif grammar is not None:
            grammar = search_or(grammar)
    if grammar and encoder.think_tags and thinks(parameters.effort):
        return after_thought(grammar, encoder.think_tags, is_open=opens_thought)
    return grammar


def cache_salt(project_id: str, prompt_cache_key: str | None) -> bytes:
    """Prefixes are shared within a project among requests with the same `prompt_cache_key`."""
    return "\0".join(filter(None, (project_id, prompt_cache_key))).encode()


def _seed_without_one(stored: StoredResponse) -> int:
    """Drawn from the id when the client gave no seed: a second attempt draws the same."""
    return stored.id.int % 2**63
