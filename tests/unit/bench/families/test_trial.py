"""Trials of families: what is exact, wrong and refused is told apart."""

from pathlib import Path

import pytest

from bench.families import trial
from bench.families.catalogue import GROUPS, families_named
from bench.families.child import try_in_child
from bench.families.family import Family, Group
from bench.families.network import config_of, load_reference, save_network
from bench.families.result import Outcome
from bench.families.sizes import VOCAB_SIZE
from bench.families.trial import Trial

_LLAMA = Family("Llama", "llama", {"num_hidden_layers": 2})
_TIMEOUT_S = 240.0


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.title)
def test_every_row_makes_a_small_configuration(group: Group) -> None:
    for family in group.families:
        text = config_of(family).get_text_config()
        assert text.vocab_size == VOCAB_SIZE, family.name


def test_a_family_that_runs_is_exact_in_both_forward_passes(tmp_path: Path) -> None:
    found = Trial(_LLAMA, 1, tmp_path).run()

    assert (found.outcome, found.text) == (Outcome.EXACT, "")
    assert (found.computed_in, found.torch) == ("OpenVINO", "exact")
    assert found.short_types == {"bfloat16": "runs", "int8": "runs"}
    assert found.remarks == []
    assert found.num_distinct > 50


def test_answers_of_another_network_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    save_network(_LLAMA, 2, other)
    monkeypatch.setattr(trial, "load_reference", lambda family, _: load_reference(family, other))

    found = Trial(_LLAMA, 1, tmp_path).run()

    assert found.outcome is Outcome.DIFFERS
    assert "short prompt, 12 tokens: token 0 is wrong" in found.text


def test_a_refusal_is_told_from_an_error(tmp_path: Path) -> None:
    (tmp_path / "refused").mkdir()
    (tmp_path / "unknown").mkdir()
    [xlstm] = families_named(["xlstm"])

    assert Trial(xlstm, 1, tmp_path / "refused").run().outcome is Outcome.REFUSED
    found = Trial(Family("Nothing", "no_such_type"), 1, tmp_path / "unknown").run()
    assert (found.outcome, found.text) == (Outcome.FAILED, "KeyError: 'no_such_type'")


@pytest.mark.nightly
def test_a_trial_that_does_not_end_in_time_fails() -> None:
    found = try_in_child(_LLAMA, 1, timeout_s=0.01)

    assert (found.outcome, found.text) == (Outcome.FAILED, "no end within 0 s")


@pytest.mark.nightly
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "family", [family for group in GROUPS for family in group.families], ids=lambda it: it.name
)
def test_no_family_loads_and_is_wrong(family: Family) -> None:
    found = try_in_child(family, 1, _TIMEOUT_S)

    assert not found.is_wrong, found.text
