"""From a request's fields to the engine's parameters; a field that is left out has no effect."""

from typing import Any

import pytest

from models.chat.scripted_encoder import ScriptedEncoder
from models.schemas.request.parameters import GenerationParameters
from worker.engine.params import DryParams, SamplingParams
from worker.generation.request.dry_breakers import DryBreakerCompiler
from worker.generation.request.sampling_params import sampling_params

BREAKERS = DryBreakerCompiler(ScriptedEncoder().token_texts)


def params_of(**fields: Any) -> SamplingParams:
    parameters = GenerationParameters.model_validate({"temperature": 1, "top_p": 1} | fields)
    return sampling_params(parameters, BREAKERS, seed=5, max_tokens=100)


def dry_of(**fields: Any) -> DryParams:
    dry = params_of(dry_multiplier=0.8, **fields).dry
    assert dry is not None
    return dry


def test_what_is_left_out_is_off() -> None:
    expected = SamplingParams(max_tokens=100, seed=5)

    assert params_of() == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 0.5),
        ("top_p", 0.5),
        ("top_k", 7),
        ("min_p", 0.5),
        ("frequency_penalty", -2.0),
        ("presence_penalty", 2.0),
        ("repetition_penalty", 1.1),
        ("ignore_eos", True),
        ("seed", 7),
    ],
)
def test_a_field_reaches_the_engine_as_it_is(name: str, value: Any) -> None:
    assert params_of(**{name: value}) == SamplingParams(
        **{"max_tokens": 100, "seed": 5, name: value}
    )


@pytest.mark.parametrize(("limit", "in_force"), [(None, 100), (7, 7), (101, 100)])
def test_the_context_bounds_the_tokens(limit: int | None, in_force: int) -> None:
    assert params_of(max_output_tokens=limit).max_tokens == in_force


def test_a_negative_seed_is_a_seed_of_its_own() -> None:
    assert params_of(seed=-1).seed == 2**64 - 1


def test_biases_are_by_token() -> None:
    assert params_of(logit_bias={"7": 1, "10": -100}).logit_bias == {7: 1.0, 10: -100.0}


@pytest.mark.parametrize("multiplier", [None, 0])
def test_without_a_multiplier_dry_is_off(multiplier: float | None) -> None:
    assert params_of(dry_multiplier=multiplier, dry_base=3, dry_sequence_breakers=["a"]).dry is None


def test_dry_has_the_defaults_of_the_protocol() -> None:
    dry = dry_of()

    assert (dry.multiplier, dry.base, dry.allowed_length) == (0.8, 1.75, 2)
    assert set(dry.breaker_moves) == set(b'\n:"*')


def test_dry_does_as_it_is_told() -> None:
    dry = dry_of(dry_base=0, dry_allowed_length=0, dry_sequence_breakers=["a"])

    assert (dry.base, dry.allowed_length) == (0, 0)
    assert set(dry.breaker_moves) == {ord("a")}
    assert dry_of(dry_sequence_breakers=[]).breaker_moves == {}
