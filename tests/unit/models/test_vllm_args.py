"""Arguments of vLLM: checked by name, and what only our own engine has is refused beside it."""

import pytest

from models.engine_capabilities import engine_capabilities
from models.settings import Settings, SettingsError, load_settings

ARGS = '{"tensor_parallel_size": 2, "max_model_len": 4096}'


def refusal(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    return str(raised.value)


def test_arguments_are_those_that_were_given(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().vllm_args.given == {}
    monkeypatch.setenv("ANTIPHON_ENGINE", "vllm")
    monkeypatch.setenv("ANTIPHON_VLLM_ARGS", ARGS)

    args = load_settings().vllm_args

    assert args.given == {"tensor_parallel_size": 2, "max_model_len": 4096}
    assert str(args) == ARGS


@pytest.mark.parametrize(
    ("args", "named"),
    [
        ('{"speculative_config": {"model": "x"}}', "speculative_config"),
        ('{"trust_remote_code": true}', "trust_remote_code"),
        ('{"tensor_parallel_size": 0}', "tensor_parallel_size"),
        ('{"tensor_parallel_size": "2"}', "tensor_parallel_size"),
        ('{"load_format": "pt"}', "load_format"),
    ],
)
def test_an_argument_that_may_not_be_set_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, args: str, named: str
) -> None:
    assert refusal(monkeypatch, ANTIPHON_VLLM_ARGS=args).startswith(f"ANTIPHON_VLLM_ARGS: {named}=")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ANTIPHON_DTYPE", "int4"),
        ("ANTIPHON_FORWARD", "openvino"),
        ("ANTIPHON_QUANTIZATION", "int8"),
        ("ANTIPHON_KV_CACHE_DTYPE", "int8"),
    ],
)
def test_what_only_our_engine_has_is_refused_beside_vllm(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    message = refusal(monkeypatch, ANTIPHON_ENGINE="vllm", **{name: value})

    assert f"{name} is not for ANTIPHON_ENGINE=vllm" in message


def test_the_api_knows_what_workers_with_vllm_cannot_do() -> None:
    own = engine_capabilities(Settings())
    vllm = engine_capabilities(Settings.model_validate({"engine": "vllm", "vllm_args": ARGS}))
    texts = '{"language_model_only": true}'
    blind = engine_capabilities(Settings.model_validate({"engine": "vllm", "vllm_args": texts}))

    assert (own.reads_images, own.limit(8192)) == (True, 8192)
    assert (vllm.reads_images, vllm.limit(8192), vllm.limit(512)) == (True, 4096, 512)
    assert (blind.reads_images, blind.limit(8192)) == (False, 8192)
