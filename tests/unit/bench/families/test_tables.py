"""Publishing of runs: only complete ones get on the page."""

from pathlib import Path

import pytest
import typer

from bench.families.catalogue import families_named
from bench.families.record import append_result
from bench.families.result import Outcome, Result
from bench.families.tables.__main__ import main
from bench.families.tables.page import BEGIN, END, names_on


@pytest.fixture
def page(tmp_path: Path) -> Path:
    file = tmp_path / "models.md"
    file.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    return file


def _record(file: Path, names: list[str], seed: int) -> Path:
    for name in names:
        append_result(file, Result(name, Outcome.EXACT, seed=seed, run="today, commit a1"))
    return file


def test_the_page_has_every_run_and_all_families(
    tmp_path: Path, page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [family.name for family in families_named([])]
    records = [_record(tmp_path / str(seed), names, seed) for seed in (1, 2)]

    main(records, page)

    written = page.read_text()
    assert names_on(written) == names
    assert "| today, commit a1, seed 1 |" in written
    assert "| today, commit a1, seed 2 |" in written
    assert "families to be served are exact (100 %)" in capsys.readouterr().out


def test_a_run_that_lacks_a_family_is_not_published(tmp_path: Path, page: Path) -> None:
    names = [family.name for family in families_named([])]
    before = page.read_text()

    with pytest.raises(typer.BadParameter, match=f"lacks 1 families: {names[-1]}"):
        main([_record(tmp_path / "some", names[:-1], 1)], page)

    assert page.read_text() == before
