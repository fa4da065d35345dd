"""The attention kernels against a naive float64 reference.

Without a GPU they run in Triton's interpreter.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from worker.engine.transformers.torch_forward.fused_attention import (
    Rows,
    attend_decodes,
    attend_prefills,
)

pytest.importorskip("triton", reason="Triton has no wheels for this platform")

# The interpreter computes with numpy, which warns of NaN.
pytestmark = pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
BLOCK_SIZE = 4
NUM_BLOCKS = 260
EXACT = {torch.float32: 3e-6, torch.bfloat16: 2e-2}


@pytest.fixture(autouse=True)
def _inference() -> Iterator[None]:
    torch.manual_seed(0)
    with torch.inference_mode():
        yield


@pytest.fixture(autouse=True)
def _products_of_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the interpreter widen factors: it takes the bits of a bfloat16 for an integer."""
    if DEVICE.type == "cuda":
        return
    from triton import language as tl
    from triton.runtime.interpreter import InterpreterBuilder, TensorHandle, _convert_float

    multiply = InterpreterBuilder.create_dot

    def widen(factor: Any) -> Any:
        if factor.dtype.scalar is not tl.bfloat16:
            return factor
        data = _convert_float(factor.data, tl.bfloat16, tl.float32, None).view("float32")
        return TensorHandle(data, tl.float32)

    def create_dot(self: Any, left: Any, right: Any, *others: Any) -> Any:
        return multiply(self, widen(left), widen(right), *others)

    monkeypatch.setattr(InterpreterBuilder, "create_dot", create_dot)


@dataclass
class Case:
    """Sequences of some lengths in a KV pool, each with its last tokens as queries."""

    query: Tensor
    keys: Tensor
    values: Tensor
    tables: list[list[int]]
    lengths: list[int]
    counts: list[int]

    @classmethod
    def of(
        cls,
        shape: tuple[int, int, int, int],
        lengths: list[int],
        counts: list[int] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> "Case":
        """Return a random case; `shape` is key heads, group, size and value size."""
        num_heads, group, size, value_size = shape
        left = iter(torch.randperm(NUM_BLOCKS).tolist())
        counts = counts or [1] * len(lengths)
        return cls(
            query=torch.randn(sum(counts), num_heads * group, size).to(DEVICE, dtype),
            keys=torch.randn(num_heads, NUM_BLOCKS * BLOCK_SIZE, size).to(DEVICE, dtype),
            values=torch.randn(num_heads, NUM_BLOCKS * BLOCK_SIZE, value_size).to(DEVICE, dtype),
            tables=[[next(left) for _ in range(-(-length // BLOCK_SIZE))] for length in lengths],
            lengths=lengths,
            counts=counts,
        )

    def alone(self, row: int) -> "Case":
        start = sum(self.counts[:row])
        return Case(
            self.query[start : start + self.counts[row]],
            self.keys,
            self.values,
            [self.tables[row]],
            [self.lengths[row]],
            [self.counts[row]],
        )

    def slot(self, row: int, position: int) -> int:
        return self.tables[row][position // BLOCK_SIZE] * BLOCK_SIZE + position % BLOCK_SIZE

    def attended(self, scale: float | None = None) -> Tensor:
        """Return the output of the kernels."""
        output = self.query.new_full(
            (*self.query.shape[:2], self.values.shape[2]), float("nan"), dtype=self.query.dtype
        )
        attend = attend_decodes if max(self.counts) == 1 else attend_prefills
        attend(self.query, self.keys, self.values, self._rows(), scale, output)
        return output

    def _rows(self) -> Rows:
        num_blocks = [len(table) for table in self.tables]
        return Rows(
            query_starts=int32([0, *torch.tensor(self.counts).cumsum(0).tolist()]),
            lengths=int32(self.lengths),
            table_starts=int32([0, *torch.tensor(num_blocks).cumsum(0).tolist()][:-1]),
            blocks=int32([block for table in self.tables for block in table]),
            block_size=BLOCK_SIZE,
            max_query_tokens=max(self.counts),
        )

    def expected(self, scale: float | None = None) -> Tensor:
        """Return the reference output, computed token by token and head by head."""
        scale = scale or self.query.shape[2] ** -0.5
        group = self.query.shape[1] // len(self.keys)
        tokens = []
        queries = iter(self.query.double())
        for row, (length, count) in enumerate(zip(self.lengths, self.counts, strict=True)):
            for seen in range(length - count + 1, length + 1):
                slots = [self.slot(row, position) for position in range(seen)]
                heads = []
                for head, query in enumerate(next(queries)):
                    keys = self.keys[head // group, slots].double()
                    weights = (keys @ query * scale).softmax(0)
                    heads.append(weights @ self.values[head // group, slots].double())
                tokens.append(torch.stack(heads))
        return torch.stack(tokens)


def int32(numbers: list[int]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.int32, device=DEVICE)


SHAPES: list[tuple[int, int, int, int]] = [
    (16, 1, 8, 8),  # many heads, thus few splits, each with several spans of the longest row
    (2, 3, 24, 16),
    (1, 8, 64, 64),
    (1, 1, 128, 128),
    (1, 20, 16, 40),
]
NETWORKS = [(shape, torch.float32) for shape in SHAPES]
NETWORKS += [(shape, torch.bfloat16) for shape in SHAPES[1:4]]
LENGTHS = [1, 3, 4, 9, 130, 700]


@pytest.mark.parametrize(("shape", "dtype"), NETWORKS, ids=str)
def test_a_row_of_one_token_attends_over_its_own_keys(
    shape: tuple[int, int, int, int], dtype: torch.dtype
) -> None:
    case = Case.of(shape, LENGTHS, dtype=dtype)

    torch.testing.assert_close(case.attended().double(), case.expected(), rtol=0, atol=EXACT[dtype])


@pytest.mark.parametrize(("shape", "dtype"), NETWORKS, ids=str)
def test_a_chunk_sees_what_came_before_and_itself(
    shape: tuple[int, int, int, int], dtype: torch.dtype
) -> None:
    case = Case.of(shape, [5, 90, 130], [5, 70, 2], dtype)

    torch.testing.assert_close(case.attended().double(), case.expected(), rtol=0, atol=EXACT[dtype])


@pytest.mark.parametrize("counts", [[1, 1], [2, 6]], ids=["decodes", "chunks"])
def test_a_scale_of_the_network_s_own_is_taken(counts: list[int]) -> None:
    case = Case.of((2, 2, 16, 16), [9, 6], counts)

    torch.testing.assert_close(case.attended(0.3).double(), case.expected(0.3), rtol=0, atol=3e-6)


@pytest.mark.parametrize("counts", [[1] * 5, [2, 2, 3, 9, 65]], ids=["decodes", "chunks"])
def test_a_row_is_the_same_bits_in_any_batch(counts: list[int]) -> None:
    case = Case.of((2, 3, 16, 16), [2, 3, 4, 9, 130], counts)

    together = torch.split(case.attended(), counts)

    for row, part in enumerate(together):
        assert case.alone(row).attended().equal(part)


def test_a_row_without_keys_gets_zeros_and_reads_nothing() -> None:
    case = Case.of((2, 2, 16, 16), [5, 0, 3])
    case.tables[1] = []
    case.query[1] = float("nan")

    output = case.attended()

    assert not output[1].any()
    assert output[0].equal(case.alone(0).attended()[0])
    assert output[2].equal(case.alone(2).attended()[0])


@pytest.mark.parametrize("counts", [[1, 1, 1], [3, 2, 4]], ids=["decodes", "chunks"])
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_in_its_row(poison: float, counts: list[int]) -> None:
    case = Case.of((2, 2, 16, 16), [5, 6, 11], counts)
    clean = torch.split(case.attended(), counts)
    mine = {case.slot(row, n) for row in (0, 2) for n in range(case.lengths[row])}
    others = [slot for slot in range(NUM_BLOCKS * BLOCK_SIZE) if slot not in mine]
    case.keys[:, others] = poison
    case.values[:, others] = poison

    output = torch.split(case.attended(), counts)

    assert not output[1].isfinite().any()
    assert output[0].equal(clean[0])
    assert output[2].equal(clean[2])


@pytest.mark.parametrize("position", [0, 2, 60, 69])
@pytest.mark.parametrize("count", [1, 2], ids=["decode", "chunk"])
def test_a_single_key_that_is_not_a_number_is_not_hidden(position: int, count: int) -> None:
    case = Case.of((1, 2, 16, 16), [70], [count])
    case.keys[0, case.slot(0, position)] = float("nan")

    assert case.attended()[-1].isnan().all()


@pytest.mark.parametrize("counts", [[1], [3]], ids=["decode", "chunk"])
def test_scores_far_apart_neither_overflow_nor_mix(counts: list[int]) -> None:
    case = Case.of((1, 2, 16, 16), [6], counts)
    case.query *= 1e4

    torch.testing.assert_close(case.attended().double(), case.expected(), rtol=0, atol=1e-5)


def test_queries_may_lie_head_by_head() -> None:
    case = Case.of((2, 2, 16, 16), [7, 9], [3, 4])
    contiguous = case.attended()
    case.query = case.query.transpose(0, 1).contiguous().transpose(0, 1)

    assert case.attended().equal(contiguous)
