"""From a response and its parameters to what the engine is asked for: one sequence a choice."""

from dataclasses import replace
from math import inf

from models.chat.prompt import ChatEncoder, EncodedPrompt
from models.grammars.after_reasoning import after_thought
from models.grammars.compile import grammar_of
from models.grammars.tool_calls import calls_grammar, search_grammar
from models.profile.thinking import thinks
from models.responses.record import ResponseRecord
from models.responses.tokens import last_turn
from models.schemas.request.parameters import GenerationParameters
from models.tools.choice import call_rule, format_of
from models.tools.web_search import must_search, offered_search
from worker.engine.interface import ForcedPrefix, GenerationRequest
from worker.engine.params import choice_seed
from worker.generation.choice import Choice
from worker.generation.dry_breakers import DryBreakerCompiler
from worker.generation.generation import Generation
from worker.generation.images import engine_images
from worker.generation.sampling_params import sampling_params


def engine_requests(
    generation: Generation,
    parameters: GenerationParameters,
    prompt: EncodedPrompt,
    *,
    breakers: DryBreakerCompiler,
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
                opening=_opening(parameters, encoder, prompt, choice),
                grammar=turn_grammar(
                    parameters,
                    encoder,
                    turn=choice.turn,
                    may_search=generation.may_call(True),
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
    grammar, rule = grammar_of(parameters), call_rule(parameters)
    if rule.tools:
        # Where calls are free to come, so is all that comes before them.
        is_free = grammar is None and not rule.is_forced
        grammar = calls_grammar(parameters, encoder, turn=turn)
        if is_free:
            return grammar
    elif may_search and offered_search(parameters) is not None:
        if must_search(parameters) and turn == 0:
            grammar = search_grammar(None)
        elif grammar is not None:
            grammar = search_grammar(grammar)
    if grammar and encoder.think_tags and thinks(parameters.effort):
        return after_thought(grammar, encoder.think_tags, is_open=opens_thought)
    return grammar


def _opening(
    parameters: GenerationParameters, encoder: ChatEncoder, prompt: EncodedPrompt, choice: Choice
) -> ForcedPrefix | None:
    """How a call begins, where it is for the model to choose and its profile has a say in it.

    The margin does not count after what a function has returned or a search has found: that is
    to be answered.
    """
    rule, profile = call_rule(parameters), encoder.profile
    may_think = encoder.think_tags is not None and thinks(parameters.effort)
    if not rule.tools or rule.is_forced or may_think:
        return None
    margin = profile.call_margin
    if prompt.answers_call or choice.turn > 0:
        margin = 0.0 if profile.calls_again else -inf
    if not margin:
        return None
    token_ids = encoder.opener_ids(format_of(parameters, encoder.profile))
    return ForcedPrefix(token_ids=token_ids, margin=margin)


def cache_salt(project_id: str, prompt_cache_key: str | None) -> bytes:
    """Prefixes are shared within a project among requests with the same `prompt_cache_key`."""
    return "\0".join(filter(None, (project_id, prompt_cache_key))).encode()


def _seed_without_one(stored: ResponseRecord) -> int:
    """Drawn from the id when the client gave no seed: a second attempt draws the same."""
    return stored.id.int % 2**63
