from pathlib import Path

from bench.families.record import append_result, read_results
from bench.families.result import Outcome, Result


def test_the_last_result_of_a_family_is_read_back_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    refused = Result("One", Outcome.REFUSED, "it has a mask", is_early=True, seed=3)
    exact = Result("Two", Outcome.EXACT, short_types={"int8": "runs"}, remarks=["slow"], seed=3)

    for result in (Result("Two", Outcome.FAILED, "its process died"), refused, exact):
        append_result(file, result)

    assert read_results(file) == {"One": refused, "Two": exact}
    assert read_results(tmp_path / "none") == {}
