"""From the fields of a request to the engine's sampling parameters."""

from models.wire.request import GenerationParameters
from worker.engine import SamplingParams


def sampling_params(
    parameters: GenerationParameters, *, seed: int, max_tokens: int
) -> SamplingParams:
    """The parameters in force; `seed` counts where the client gave none."""
    assert parameters.temperature is not None
    assert parameters.top_p is not None
    return SamplingParams(
        max_tokens=min(parameters.max_output_tokens or max_tokens, max_tokens),
        temperature=parameters.temperature,
        top_p=parameters.top_p,
        top_k=parameters.top_k or 0,
        min_p=parameters.min_p or 0.0,
        logit_bias={int(key): bias for key, bias in (parameters.logit_bias or {}).items()},
        frequency_penalty=parameters.frequency_penalty or 0.0,
        presence_penalty=parameters.presence_penalty or 0.0,
        repetition_penalty=parameters.repetition_penalty or 1.0,
        seed=seed if parameters.seed is None else parameters.seed % 2**64,
        ignore_eos=bool(parameters.ignore_eos),
    )
