"""Several runs together: a family is as good as its worst result."""

from bench.families.result import Outcome, Result
from bench.families.tables.runs import combine, run_title

_TYPES = {"bfloat16": "runs", "int8": "runs"}


def _exact(seed: int, **facts: object) -> Result:
    usual = {"computed_in": "OpenVINO", "torch": "exact", "short_types": _TYPES, "seed": seed}
    return Result("One", Outcome.EXACT, **usual | facts)  # type: ignore[arg-type]


def test_a_family_that_is_exact_in_all_runs_is_exact() -> None:
    runs = [{"One": _exact(seed, num_ties=seed, remarks=["slow"])} for seed in (1, 2)]

    [found] = combine(runs).values()

    assert (found.outcome, found.num_ties, found.remarks) == (Outcome.EXACT, 3, ["slow"])
    assert (found.computed_in, found.torch, found.short_types) == ("OpenVINO", "exact", _TYPES)


def test_the_worst_result_of_a_family_counts() -> None:
    wrong = Result("One", Outcome.DIFFERS, "token 3 is wrong")
    died = Result("One", Outcome.FAILED, "its process died")

    assert combine([{"One": _exact(1)}, {"One": wrong}])["One"].text == "token 3 is wrong"
    assert combine([{"One": wrong}, {"One": died}, {"One": _exact(1)}])["One"].is_wrong


def test_what_differs_between_exact_runs_is_told() -> None:
    other = {
        "computed_in": "torch",
        "torch": "",
        "short_types": _TYPES | {"int8": "refused: too coarse"},
    }

    found = combine([{"One": _exact(1)}, {"One": _exact(2, **other)}])["One"]

    assert found.computed_in == "OpenVINO or torch"
    assert found.torch == "exact"
    assert found.short_types == {"bfloat16": "runs", "int8": "refused: too coarse"}


def test_a_refusal_is_early_only_if_each_is() -> None:
    early = Result("One", Outcome.REFUSED, "it has a mask", is_early=True)
    late = Result("One", Outcome.REFUSED, "it has a mask")

    assert not combine([{"One": early}, {"One": early}])["One"].is_late
    assert combine([{"One": early}, {"One": late}])["One"].is_late


def test_a_run_is_named_by_its_commits_and_seeds() -> None:
    first, second = _exact(1, run="today, commit a1"), _exact(2, run="later, commit b2")

    assert run_title({"One": first, "Two": first}) == "today, commit a1, seed 1"
    assert run_title({"One": first, "Two": second}) == (
        "today, commit a1, seed 1; later, commit b2, seed 2"
    )


def test_a_run_that_was_continued_is_named_by_its_first_start() -> None:
    first, later = _exact(1, run="9 UTC, commit a1"), _exact(1, run="8 UTC, commit a1")

    assert run_title({"One": first, "Two": later}) == "8 UTC, commit a1, seed 1"
