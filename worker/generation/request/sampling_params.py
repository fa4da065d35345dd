"""Conversion of a request's fields to the engine's sampling parameters."""

from models.schemas.request.parameters import GenerationParameters
from models.schemas.request.sampling import DRY_ALLOWED_LENGTH, DRY_BASE, DRY_BREAKERS
from worker.engine.params import DryParams, SamplingParams
from worker.generation.request.dry_breakers import DryBreakerCompiler


def sampling_params(
    parameters: GenerationParameters, breakers: DryBreakerCompiler, *, seed: int, max_tokens: int
) -> SamplingParams:
    """Return the sampling parameters of the first choice; others differ in their seed.

    `seed` is used if the client set none; `max_tokens` is an upper limit.
    """
    assert parameters.temperature is not None
    assert parameters.top_p is not None
    return SamplingParams(
        max_tokens=min(parameters.output_limit or max_tokens, max_tokens),
        temperature=parameters.temperature,
        top_p=parameters.top_p,
        top_k=parameters.top_k or 0,
        min_p=parameters.min_p or 0.0,
        logit_bias={int(key): bias for key, bias in (parameters.logit_bias or {}).items()},
        frequency_penalty=parameters.frequency_penalty or 0.0,
        presence_penalty=parameters.presence_penalty or 0.0,
        repetition_penalty=parameters.repetition_penalty or 1.0,
        dry=_dry_params(parameters, breakers),
        seed=seed if parameters.seed is None else parameters.seed % 2**64,
        ignore_eos=bool(parameters.ignore_eos),
        num_top_logprobs=parameters.num_top_logprobs,
    )


def _dry_params(parameters: GenerationParameters, breakers: DryBreakerCompiler) -> DryParams | None:
    if not parameters.dry_multiplier:
        return None
    base, allowed_length = parameters.dry_base, parameters.dry_allowed_length
    texts = parameters.dry_sequence_breakers
    return DryParams(
        multiplier=parameters.dry_multiplier,
        base=DRY_BASE if base is None else base,
        allowed_length=DRY_ALLOWED_LENGTH if allowed_length is None else allowed_length,
        breaker_moves=breakers.moves(DRY_BREAKERS if texts is None else tuple(texts)),
    )
