import pytest
import torch

from worker.engine.transformers.device import resolve_device, resolve_dtype

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_a_named_type_is_taken_on_any_device() -> None:
    assert resolve_dtype("float32", CUDA) is torch.float32
    assert resolve_dtype("bfloat16", CPU) is torch.bfloat16


def test_auto_is_the_type_that_the_device_computes_fastest() -> None:
    assert resolve_dtype("auto", CUDA) is torch.bfloat16
    assert resolve_dtype("auto", CPU) in (torch.float32, torch.bfloat16)


@pytest.mark.parametrize("name", ["int8", "int4"])
def test_weights_in_fewer_bits_are_computed_in_the_type_of_auto(name: str) -> None:
    for where in (CPU, CUDA):
        assert resolve_dtype(name, where) is resolve_dtype("auto", where)


def test_a_named_device_is_taken_and_auto_is_what_there_is() -> None:
    assert resolve_device("cpu") == CPU
    assert resolve_device("cuda") == CUDA
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
