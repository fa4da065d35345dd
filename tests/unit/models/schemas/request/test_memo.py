"""A memo keeps the latest result for the very same inputs."""

from models.schemas.request.memo import Memo


def test_it_works() -> None:
    memo, inputs = Memo(), (["a"], None)

    assert memo.get(inputs, lambda: "computed") == "computed"
    assert memo.get(inputs, lambda: "computed again") == "computed"


def test_other_inputs_are_computed_although_they_are_equal() -> None:
    memo = Memo()
    memo.get((["a"],), lambda: 1)

    assert memo.get((["a"],), lambda: 2) == 2


def test_a_result_of_none_is_kept() -> None:
    memo, inputs = Memo(), (object(),)
    memo.get(inputs, lambda: None)

    assert memo.get(inputs, lambda: "computed again") is None


def test_memos_are_equal() -> None:
    memo = Memo()
    memo.get((), lambda: 1)

    assert memo == Memo()
