"""Values of sampling fields that a request leaves out."""

import re
from pathlib import Path
from typing import Any

import pytest

from models.profile.profile import read_profile
from models.profile.sampling_defaults import SamplingDefaults, of_generation_config
from models.schemas.request.parameters import GenerationParameters
from models.settings import DEFAULT_MODEL, SettingsError


def test_what_a_request_gives_counts_and_a_zero_is_given() -> None:
    defaults = SamplingDefaults(temperature=0.6, top_k=50, frequency_penalty=0.2)
    given = GenerationParameters(temperature=0, frequency_penalty=0)

    in_force = defaults.fill(given)

    assert in_force == GenerationParameters(temperature=0, top_p=1.0, top_k=50, frequency_penalty=0)


def test_those_of_a_profile_count_before_those_that_came_with_the_weights() -> None:
    of_profile = SamplingDefaults(temperature=0.0, min_p=0.1)

    assert of_profile.over(SamplingDefaults(temperature=0.6, top_p=0.9)) == SamplingDefaults(
        temperature=0.0, top_p=0.9, min_p=0.1
    )


@pytest.mark.parametrize("off", [None, 0, -1])
def test_top_k_may_be_off_in_any_spelling(off: int | None) -> None:
    assert not of_generation_config({"top_k": off, "do_sample": True}).top_k


@pytest.mark.parametrize("value", [-0.5, 3, float("nan"), "hot"])
def test_a_default_out_of_range_stops_the_start_and_names_file_and_field(value: Any) -> None:
    with pytest.raises(
        SettingsError, match=re.compile(r"generation_config\.json.*temperature", re.S)
    ):
        of_generation_config({"temperature": value})


def test_one_value_in_the_file_leaves_the_others_of_the_built_in_weights(tmp_path: Path) -> None:
    (tmp_path / "profile.json").write_text('{"sampling": {"temperature": 1.0}}')

    sampling = read_profile(tmp_path, DEFAULT_MODEL, "").sampling

    assert sampling == SamplingDefaults(temperature=1.0, top_p=0.9, frequency_penalty=0.5)


def test_a_field_that_is_none_of_sampling_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "profile.json").write_text('{"sampling": {"heat": 1.0}}')

    with pytest.raises(SettingsError, match=r"profile\.json"):
        read_profile(tmp_path, "m", "")
