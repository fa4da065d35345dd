"""Page of the families: docs/models.md has a row for each family of the bench, and no others."""

from pathlib import Path

from bench.families.catalogue import GROUPS, families_named
from bench.families.family import Family, Group
from bench.families.result import Outcome, Result
from bench.families.tables.page import (
    BEGIN,
    END,
    names_on,
    runs_grid,
    summary_grid,
    tally,
    write_section,
)

_PAGE = Path(__file__).parents[4] / "docs/models.md"
_GROUPS = (
    Group("First", (Family("One", "llama"), Family("Two", "gpt2", note="needs care"))),
    Group("Refused", (Family("Three", "doge"),), is_served=False),
)
_RESULTS = {
    "One": Result("One", Outcome.EXACT, short_types={"bfloat16": "runs", "int8": "runs"}),
    "Two": Result("Two", Outcome.DIFFERS, "short prompt: token 3 | is wrong", num_ties=2),
    "Three": Result("Three", Outcome.REFUSED, "it has a mask", is_early=True),
}


def test_the_page_has_the_families_of_the_bench_in_its_order() -> None:
    names = [family.name for group in GROUPS for family in group.families]

    assert len(names) == len(set(names)) > 100
    assert names_on(_PAGE.read_text()) == names


def test_the_tables_of_a_page_are_replaced_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "models.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")

    write_section(page, _GROUPS, [_RESULTS, _RESULTS])

    written = page.read_text()
    assert written.startswith("before\n")
    assert written.endswith("\nafter\n")
    assert "old" not in written
    assert names_on(written) == ["One", "Two", "Three"]
    assert "needs care; 4 ties" in written
    assert r"token 3 \| is wrong" in written


def test_the_summary_counts_what_is_served_by_group() -> None:
    rows = summary_grid(_GROUPS, _RESULTS).rows

    assert [list(row) for row in rows] == [
        ["First", "2", "1", "50 %", "1", "0", "0", "1"],
        ["Refused", "1", "0", "0 %", "0", "1", "1", "0"],
        ["All but those to be refused", "2", "1", "50 %", "1", "0", "0", "1"],
    ]


def test_each_run_has_a_row_with_its_seed_and_commit() -> None:
    runs = [
        {"One": Result("One", Outcome.EXACT, run="today, commit a1", seed=seed)} for seed in (5, 6)
    ]

    assert [row[:4] for row in runs_grid(_GROUPS, runs).rows] == [
        ("today, commit a1, seed 5", "1", "1", "100 %"),
        ("today, commit a1, seed 6", "1", "1", "100 %"),
    ]


def test_a_line_tells_how_many_are_exact_refused_and_wrong() -> None:
    late = Result("Three", Outcome.REFUSED, "out of memory")

    assert tally(_GROUPS, _RESULTS) == (
        "1 of 2 families to be served are exact (50 %), 0 refused by name, "
        "1 of 1 others refused by name, 0 refused after weights were read, 1 wrong, 0 failed"
    )
    assert "1 refused after weights were read" in tally(_GROUPS, {"Three": late})


def test_families_are_found_by_a_part_of_their_name_or_by_their_type() -> None:
    assert [family.name for family in families_named(["pythia"])] == ["GPT-NeoX, Pythia"]
    assert {family.model_type for family in families_named(["gpt2", "mamba"])} > {"gpt2", "mamba2"}
    assert len(families_named([])) > 100
