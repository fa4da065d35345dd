"""Page of the families: docs/models.md has a row for each family of the bench, and no others."""

from pathlib import Path

from bench.families.catalogue import GROUPS, families_named
from bench.families.family import Family, Group
from bench.families.page import BEGIN, END, names_on, summary_grid, write_section
from bench.families.result import Outcome, Result

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

    write_section(page, _GROUPS, _RESULTS, "Last run: today.")

    written = page.read_text()
    assert written.startswith("before\n")
    assert written.endswith("\nafter\n")
    assert "old" not in written
    assert names_on(written) == ["One", "Two", "Three"]
    assert "needs care; 2 ties" in written
    assert r"token 3 \| is wrong" in written


def test_the_summary_counts_what_is_served_by_group() -> None:
    rows = summary_grid(_GROUPS, _RESULTS).rows

    assert [list(row) for row in rows] == [
        ["First", "2", "1", "50 %", "1", "0", "0", "1"],
        ["Refused", "1", "0", "0 %", "0", "1", "1", "0"],
        ["All but those to be refused", "2", "1", "50 %", "1", "0", "0", "1"],
    ]


def test_families_are_found_by_a_part_of_their_name_or_by_their_type() -> None:
    assert [family.name for family in families_named(["pythia"])] == ["GPT-NeoX, Pythia"]
    assert {family.model_type for family in families_named(["gpt2", "mamba"])} > {"gpt2", "mamba2"}
    assert len(families_named([])) > 100
