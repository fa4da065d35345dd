"""Conversion of a response and its parameters to engine requests, one sequence per choice."""

from dataclasses import replace
from math import inf
from typing import Literal

from models.chat.prompt import ChatEncoder, EncodedPrompt
from models.grammars.after_reasoning import allow_reasoning
from models.grammars.calls.tool_calls import calls_grammar, search_grammar
from models.grammars.compile import grammar_of
from models.grammars.outputs import requested_constraint
from models.profile.formats.call_format import JsonArguments
from models.profile.formats.named_json.harmony import HARMONY
from models.profile.thinking import HARMONY_TAGS, is_reasoning_enabled
from models.responses.record import ResponseRecord
from models.responses.tokens import split_last_turn
from models.schemas.request.parameters import GenerationParameters
from models.tools.choice import CallRule, call_rule, format_of
from models.tools.mcp.functions import without_mcp_calls
from models.tools.search_choice import must_search, offered_search
from worker.engine.interface import ForcedPrefix, GenerationRequest, JsonOutput
from worker.engine.params import SamplingParams, choice_seed
from worker.generation.generation import Generation
from worker.generation.request.dry_breakers import DryBreakerCompiler
from worker.generation.request.images import engine_images
from worker.generation.request.sampling_params import sampling_params


def engine_requests(
    generation: Generation,
    parameters: GenerationParameters,
    prompt: EncodedPrompt,
    *,
    breakers: DryBreakerCompiler,
    encoder: ChatEncoder,
) -> list[GenerationRequest]:
    """Return a request for each unfinished choice, continuing after the tokens that it has."""
    if parameters.is_warm_up:
        return [_warm_up_request(generation, parameters, prompt)]
    params = sampling_params(
        parameters,
        breakers,
        seed=_default_seed(generation.record),
        max_tokens=encoder.context_length - len(prompt),
    )
    images = engine_images(prompt)
    if not generation.calls.can_call("mcp_call"):
        parameters = without_mcp_calls(parameters)
    requests = []
    for number, choice in enumerate(generation.choices):
        if not choice.is_generating:
            continue
        token_ids = generation.tokens_of(choice)
        read, written = split_last_turn(token_ids)
        num_before = sum(token_id >= 0 for token_id in token_ids) - len(written)
        seed = choice_seed(choice_seed(params.seed, number), choice.turn)
        num_free = encoder.context_length - len(prompt) - len(read)
        max_tokens = min(params.max_tokens - num_before, num_free)
        requests.append(
            GenerationRequest(
                sequence_id=choice.sequence_id,
                prompt=[*prompt.token_ids, *read],
                images=images,
                generated=written,
                params=replace(params, seed=seed, max_tokens=max_tokens),
                forced_prefix=forced_prefix(parameters, encoder, prompt, turn=choice.turn),
                grammar=turn_grammar(
                    parameters,
                    encoder,
                    turn=choice.turn,
                    can_search=generation.calls.can_call("web_search_call"),
                    opens_reasoning=choice.opens_reasoning,
                ),
                json=find_json(
                    parameters,
                    encoder,
                    turn=choice.turn,
                    opens_reasoning=choice.opens_reasoning,
                ),
                cache_salt=cache_salt(generation.record.project_id, parameters.prompt_cache_key),
                fairness_key=generation.record.project_id,
            )
        )
    return requests


def _warm_up_request(
    generation: Generation, parameters: GenerationParameters, prompt: EncodedPrompt
) -> GenerationRequest:
    """Return the request that has the prompt computed and kept in the prefix cache."""
    return GenerationRequest(
        sequence_id=generation.choices[0].sequence_id,
        prompt=prompt.token_ids,
        images=engine_images(prompt),
        params=SamplingParams(max_tokens=0),
        cache_salt=cache_salt(generation.record.project_id, parameters.prompt_cache_key),
        fairness_key=generation.record.project_id,
    )


def turn_grammar(
    parameters: GenerationParameters,
    encoder: ChatEncoder,
    *,
    turn: int,
    can_search: bool,
    opens_reasoning: bool,
) -> str | None:
    """Return the grammar of a turn; None if its output is unconstrained.

    Reasoning is unconstrained; a search may or must come before the answer.
    """
    grammar, rule = grammar_of(parameters), call_rule(parameters)
    if rule.tools:
        # If calls are optional, the text before them is unconstrained, reasoning included.
        is_free = grammar is None and not rule.is_forced
        grammar = calls_grammar(parameters, encoder, turn=turn)
        is_whole = format_of(parameters, encoder.profile) == HARMONY
        if is_whole or (is_free and not _are_special(encoder)):
            return grammar
    elif can_search and offered_search(parameters) is not None:
        if must_search(parameters) and turn == 0:
            grammar = search_grammar(None, encoder.special_ids)
        elif grammar is not None:
            grammar = search_grammar(grammar, encoder.special_ids)
    tags = encoder.think_tags
    # gpt-oss reasons at every effort, and writes the channel of its answers.
    if grammar and tags and (is_reasoning_enabled(parameters.effort) or tags == HARMONY_TAGS):
        return allow_reasoning(
            grammar,
            tags,
            is_open=opens_reasoning,
            answer_tags=encoder.answer_tags,
            special_ids=encoder.special_ids,
            calls_after=_calls_after(rule, turn),
        )
    return grammar


def _calls_after(rule: CallRule, turn: int) -> Literal["nothing", "text"] | None:
    """Return what may be said before calls; None if there are none."""
    if not rule.tools:
        return None
    return "nothing" if rule.is_forced and turn == 0 else "text"


def _are_special(encoder: ChatEncoder) -> bool:
    """Return True if reasoning or answers begin with special tokens, which text never contains."""
    tags = (*(encoder.think_tags or ()), *(encoder.answer_tags or ()))
    return any(token in tag for tag in tags for token in encoder.special_ids)


def find_json(
    parameters: GenerationParameters, encoder: ChatEncoder, *, turn: int = 0, opens_reasoning: bool
) -> JsonOutput | None:
    """Return where the output of `turn_grammar` is JSON; None if it is not, or nobody knows where.

    The calls of the Llama style begin like text that may be anything, and those of gpt-oss end with
    tokens that end its reasoning, too.
    """
    rule = call_rule(parameters)
    if encoder.think_tags == HARMONY_TAGS:
        return None
    is_json = isinstance(format_of(parameters, encoder.profile).arguments, JsonArguments)
    if rule.tools and not is_json:
        return None
    language, _ = requested_constraint(parameters) or (None, "")
    is_forced = rule.is_forced and turn == 0
    if rule.tools and language is None and not is_forced:
        opener = format_of(parameters, encoder.profile).opener
        token_id = encoder.special_id(opener)
        closer = opener if token_id is None else token_id
        return JsonOutput(begins_free=True, closer=closer) if opener else None
    if language != "json_schema" and not is_forced:
        return None
    if encoder.think_tags and is_reasoning_enabled(parameters.effort):
        opener, closer = encoder.think_tags
        end = encoder.special_id(closer)
        if end is not None:
            return JsonOutput(begins_free=True, closer=end)
        return JsonOutput(begins_free=opens_reasoning, opener=opener, closer=closer)
    return JsonOutput()


def forced_prefix(
    parameters: GenerationParameters, encoder: ChatEncoder, prompt: EncodedPrompt, *, turn: int
) -> ForcedPrefix | None:
    """Return the tokens that begin a call, if calls are optional and the profile favours them.

    The profile's threshold is not used after a function's output or a search result, because these
    call for an answer, and among more functions than the weights can choose from.
    """
    rule, profile = call_rule(parameters), encoder.profile
    can_reason = encoder.think_tags is not None and is_reasoning_enabled(parameters.effort)
    if not rule.tools or rule.is_forced or can_reason:
        return None
    threshold = profile.call_margin
    if prompt.is_after_tool_output or turn > 0:
        threshold = 0.0 if profile.calls_again else -inf
    if profile.max_functions is not None and len(rule.tools) > profile.max_functions:
        threshold = -inf
    if not threshold:
        return None
    token_ids = encoder.opener_ids(format_of(parameters, encoder.profile))
    return ForcedPrefix(token_ids=token_ids, threshold=threshold)


def cache_salt(project_id: str, prompt_cache_key: str | None) -> bytes:
    """Return the salt that lets a project's requests of one `prompt_cache_key` share prefixes."""
    return "\0".join(filter(None, (project_id, prompt_cache_key))).encode()


def _default_seed(record: ResponseRecord) -> int:
    """Derive a seed from the id, so that every attempt draws the same tokens."""
    return record.id.int % 2**63
