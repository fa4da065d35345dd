"""Host-device synchronisation: a step waits for its device once.

The device is `meta`, whose tensors hold no values, so that reading them on the host is an error.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from llguidance import grammar_from
from llguidance.hf import from_tokenizer
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import PreTrainedTokenizerFast

from tests.unit.worker.engine.conftest import VOCAB_SIZE, byte_tokenizer
from worker.engine.interface import ForcedPrefix, GenerationRequest
from worker.engine.params import DryParams, SamplingParams
from worker.engine.sampling.device_copy import make_row_index, read_back
from worker.engine.sampling.grammar import GrammarCompiler, GrammarMasker, Matcher, unpack_on_device
from worker.engine.sampling.logprobs import RawScores
from worker.engine.sampling.penalties import Penalties
from worker.engine.sampling.sampler import Draw, sample
from worker.engine.sequence import Sequence as Generation
from worker.engine.transformers.engine import TransformersEngine

DIGITS = grammar_from("regex", "[0-9]{8}")
OPENING = ForcedPrefix(token_ids=[5, 6], threshold=3.5)

# One row of every kind: parameters of the request, and its generated tokens.
ROWS: list[tuple[dict[str, Any], list[int]]] = [
    ({"params": {"temperature": 0.0}}, []),
    ({"params": {}}, []),
    ({"params": {"temperature": 0.8, "top_p": 0.95}}, []),
    ({"params": {"top_k": 40, "min_p": 0.1, "num_top_logprobs": 5}}, []),
    ({"params": {"num_top_logprobs": 0}}, []),
    ({"params": {"logit_bias": {3: 1.0}, "frequency_penalty": 1.0}}, [4, 4]),
    ({"params": {"repetition_penalty": 1.2, "dry": DryParams(multiplier=1.0)}}, [1, 2, 1, 2]),
    ({"params": {"temperature": 0.0}, "grammar": DIGITS}, []),
    ({"params": {"top_p": 0.9}, "forced_prefix": OPENING}, []),
    ({"params": {"top_p": 0.9}, "forced_prefix": OPENING}, [5]),
    ({"params": {}, "forced_prefix": ForcedPrefix(token_ids=[5], threshold=-torch.inf)}, []),
]


class CopyWatch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Torch dispatch mode that fails on blocking copies to `meta`.

    Those made by `torch.tensor`, and by lists as indices, are not dispatched. They are found
    because their result is a remote tensor that no earlier operation returned.
    """

    def __init__(self, *given: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._seen = list(given)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        remote = [tensor for tensor in tensors_in(args) if tensor.device.type == "meta"]
        seen = {id(tensor) for tensor in self._seen}
        assert all(id(tensor) in seen for tensor in remote), (
            f"{func} has waited for what it is given"
        )
        result = func(*args, **kwargs)
        if func is torch.ops.aten._to_copy.default and result.device != args[0].device:
            assert kwargs.get("non_blocking"), "a copy has been waited for"
        elif remote:
            devices = {tensor.device.type for tensor in tensors_in(args) if tensor.dim()}
            assert devices == {"meta"}, f"{func} copies what it is given"
        self._seen += [tensor for tensor in tensors_in([result]) if tensor.device.type == "meta"]
        return result


def tensors_in(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for element in value:
            yield from tensors_in(element)


@pytest.fixture(scope="module")
def grammars() -> GrammarCompiler:
    wrap: Any = PreTrainedTokenizerFast
    tokenizer = wrap(tokenizer_object=byte_tokenizer(), eos_token="<end>")
    return GrammarCompiler(lambda: from_tokenizer(tokenizer, VOCAB_SIZE), {})


@pytest.fixture
def sequences(grammars: GrammarCompiler) -> list[Generation]:
    """Return one sequence for each of `ROWS`, with a prompt of three tokens."""
    found = []
    for number, (asked, generated) in enumerate(ROWS):
        request = GenerationRequest(
            sequence_id=str(number),
            prompt=[1, 2, 3],
            generated=generated,
            params=SamplingParams(max_tokens=9, seed=number, **asked["params"]),
            forced_prefix=asked.get("forced_prefix"),
            grammar=asked.get("grammar"),
        )
        matcher = grammars.matcher(request.grammar) if request.grammar else None
        found.append(Generation(request, matcher, Penalties.from_request(request)))
    return found


@contextmanager
def reads(
    monkeypatch: pytest.MonkeyPatch, logits: Tensor, is_decided: Sequence[bool]
) -> Iterator[list[int]]:
    """Yield a list of the sizes of all reads; each reads token 7, decided or not as given."""
    sizes: list[int] = []

    def read(packed: Tensor) -> Tensor:
        assert packed.device.type == "meta"
        sizes.append(packed.numel())
        numbers = torch.zeros(packed.shape, dtype=packed.dtype)
        numbers[: len(ROWS)] = 7
        numbers[len(ROWS) : 2 * len(ROWS)] = torch.tensor(is_decided)
        return numbers

    monkeypatch.setattr("worker.engine.sampling.sampler.read_back", read)
    with CopyWatch(logits):
        yield sizes


class Stub:
    """The part of an engine that draws tokens."""

    def __init__(self) -> None:
        self._masker = GrammarMasker(len(ROWS), VOCAB_SIZE)

    draw: Any = TransformersEngine._draw


def test_a_step_of_all_kinds_of_rows_is_read_back_once(
    sequences: list[Generation], monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = torch.empty((len(ROWS), VOCAB_SIZE), device="meta")

    with reads(monkeypatch, logits, [True] * len(ROWS)) as sizes:
        drawn = Stub().draw(logits, sequences)

    # Tokens, their `is_decided`, and for two rows one log probability and five alternatives.
    assert sizes == [2 * len(ROWS) + 2 * 11]
    assert [token for _, token, _ in drawn] == [7] * len(ROWS)
    assert [len(found.top) for _, _, found in drawn if found] == [5, 0]


def test_a_row_that_few_candidates_do_not_decide_costs_a_second_read(
    sequences: list[Generation], monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = torch.empty((len(ROWS), VOCAB_SIZE), device="meta")
    asked: list[Tensor] = []

    def draw_among_all(scores: Tensor, weights: Tensor, _asked: Any) -> Tensor:
        asked.append(weights)
        return torch.empty(len(scores), dtype=torch.long, device="meta")

    monkeypatch.setattr("worker.engine.sampling.sampler.draw_among_all", draw_among_all)
    with reads(monkeypatch, logits, [row not in (2, 8) for row in range(len(ROWS))]) as sizes:
        Stub().draw(logits, sequences)

    assert len(sizes) == 2
    assert [len(weights) for weights in asked] == [2]


def test_reading_back_is_one_copy() -> None:
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        read_back(torch.empty(3, device="meta"))


def test_a_remote_device_draws_the_same_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw all rows at once and the flat ones after the first read, as on a remote device."""
    torch.manual_seed(0)
    logits = torch.randn(40, 3000) * torch.linspace(0.5, 6, 40)[:, None]
    logits[11] = -torch.inf
    logits[12, 3] = torch.nan
    kinds: list[dict[str, Any]] = [
        {"temperature": 0.0},
        {},
        {"top_p": 0.95},
        {"top_k": 500, "min_p": 0.001},
        {"top_p": 0.5},
    ]
    draws = [
        Draw(SamplingParams(max_tokens=1, seed=row, **kinds[row % 5]), row) for row in range(40)
    ]
    here = sample(logits, draws, RawScores(logits, [row % 3 for row in range(40)]))

    for module in ("sampler", "top_p"):
        monkeypatch.setattr(f"worker.engine.sampling.{module}.is_remote", lambda device: True)
    there = sample(logits, draws, RawScores(logits, [row % 3 for row in range(40)]))

    assert there == here
    assert [row for row, token in enumerate(here.tokens) if token is None] == [11, 12]


@pytest.mark.parametrize("vocab_size", [8, 100, 123])
def test_bits_are_unpacked_on_a_device_as_on_the_host(vocab_size: int) -> None:
    bits = np.random.default_rng(0).integers(0, 256, (3, 16), dtype=np.uint8)

    found = unpack_on_device(torch.from_numpy(bits), vocab_size)

    expected = np.unpackbits(bits, axis=1, count=vocab_size, bitorder="little")
    assert found.dtype == torch.bool
    assert np.array_equal(found.numpy(), expected)


def test_a_mask_is_the_same_wherever_it_is_unpacked(
    grammars: GrammarCompiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    matchers: list[Matcher | None] = [None, grammars.matcher(DIGITS), None]
    here, there = torch.zeros(3, VOCAB_SIZE), torch.zeros(3, VOCAB_SIZE)
    masker = GrammarMasker(3, VOCAB_SIZE)

    masker.apply(here, matchers)
    monkeypatch.setattr("worker.engine.sampling.grammar.is_remote", lambda device: True)
    masker.apply(there, matchers)

    assert torch.equal(here, there)
    assert here.isfinite().sum(-1).tolist() == [VOCAB_SIZE, 10, VOCAB_SIZE]


def test_rows_that_lie_together_are_a_slice() -> None:
    cpu = torch.device("cpu")

    assert make_row_index([2, 3, 4], cpu) == slice(2, 5)
    assert torch.equal(torch.as_tensor(make_row_index([2, 4], cpu)), torch.tensor([2, 4]))
