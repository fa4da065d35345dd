from pathlib import Path
from typing import Any

import pytest

from worker.engine.interface import EngineConfig
from worker.engine.transformers.openvino import precision
from worker.engine.transformers.openvino.precision import (
    choose_execution,
    fastest_precision,
    weights_of,
)


def config_of(**settings: Any) -> EngineConfig:
    return EngineConfig(folder=Path(), kv_cache_bytes=1, max_sequences=1, **settings)


@pytest.fixture
def _fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_avx512", lambda: True)
    monkeypatch.setattr(
        precision, "fastest_precision", lambda num_threads: f"fastest {num_threads}"
    )


@pytest.mark.usefixtures("_fastest")
@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("float32", "f32"),
        ("bfloat16", "bf16"),
        ("auto", "fastest 3"),
        ("int8", "fastest 3"),
        ("int4", "fastest 3"),
    ],
)
def test_the_precision_is_the_one_asked_for_or_else_the_fastest(dtype: str, expected: str) -> None:
    execution = choose_execution(config_of(dtype=dtype, num_threads=3))

    assert execution.precision == expected
    assert execution.cache_precision == expected
    assert execution.num_threads == 3


@pytest.mark.usefixtures("_fastest")
def test_without_a_number_of_threads_there_are_as_many_as_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(precision, "num_cores", lambda: 5)

    assert choose_execution(config_of()).num_threads == 5


def test_the_cache_may_have_a_type_of_its_own() -> None:
    execution = choose_execution(config_of(dtype="float32", kv_cache_dtype="int8", num_threads=1))

    assert (execution.precision, execution.cache_precision) == ("f32", "u8")


@pytest.mark.parametrize(
    ("has_avx512", "kv_cache_dtype", "expected"),
    [(True, "auto", "bf16"), (False, "auto", "f32"), (False, "int8", "u8")],
)
def test_without_avx512_the_cache_beside_bfloat16_is_in_float32(
    monkeypatch: pytest.MonkeyPatch, has_avx512: bool, kv_cache_dtype: str, expected: str
) -> None:
    monkeypatch.setattr(precision, "has_avx512", lambda: has_avx512)
    config = config_of(dtype="bfloat16", kv_cache_dtype=kv_cache_dtype, num_threads=1)

    execution = choose_execution(config)

    assert (execution.precision, execution.cache_precision) == ("bf16", expected)


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [
        ("auto", "full"),
        ("float32", "full"),
        ("bfloat16", "full"),
        ("int8", "int8"),
        ("int4", "int4"),
    ],
)
def test_only_short_types_change_how_weights_are_kept(dtype: str, kind: str) -> None:
    assert weights_of(config_of(dtype=dtype)) == kind


def test_a_processor_without_bfloat16_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_native_bfloat16", lambda: False)
    monkeypatch.setattr(precision, "_probe", lambda *_: pytest.fail("timed"))

    assert fastest_precision(1) == "f32"


@pytest.mark.parametrize(
    ("exact_s", "taken"), [(2.0, "f32"), (2.9, "bf16"), (3.0, "bf16"), (5.0, "bf16")]
)
def test_float32_is_taken_only_where_its_shortest_run_is_clearly_shorter(
    monkeypatch: pytest.MonkeyPatch, exact_s: float, taken: str
) -> None:
    noise = iter([6, 6, 0, 0, 7, 7] * 100)
    shortest = {"bf16": 3.0, "f32": exact_s}
    monkeypatch.setattr(precision, "has_native_bfloat16", lambda: True)
    monkeypatch.setattr(precision, "_probe", lambda name, num_threads: name)
    monkeypatch.setattr(precision, "_seconds", lambda probe: next(noise) + shortest[probe])

    assert fastest_precision(1) == taken


def test_a_precision_that_cannot_be_computed_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str, num_threads: int) -> None:
        raise RuntimeError(name)

    monkeypatch.setattr(precision, "has_native_bfloat16", lambda: True)
    monkeypatch.setattr(precision, "_probe", fail)

    assert fastest_precision(1) == "f32"


def test_a_probe_runs() -> None:
    assert precision._seconds(precision._probe("f32", 1)) > 0
