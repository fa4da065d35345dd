from pathlib import Path
from typing import Any

import pytest

from models.encryption.vault import SecretVault
from models.responses.end_user import end_user_of
from models.schemas.request.parameters import GenerationParameters


def digest(project_id: str = "default", **fields: Any) -> int:
    return end_user_of(project_id, GenerationParameters(**fields), SecretVault())


@pytest.mark.parametrize(
    "fields",
    [
        {"safety_identifier": "me"},
        {"safety_identifier": "me", "user": "you", "prompt_cache_key": "it"},
        {"user": "me", "prompt_cache_key": "it"},
        {"prompt_cache_key": "me"},
    ],
)
def test_the_first_name_that_is_given_counts(fields: dict[str, str]) -> None:
    assert digest(**fields) == digest(user="me")


def test_nobody_is_zero() -> None:
    assert digest() == 0
    assert digest(user="") == 0


def test_names_differ_and_so_do_projects() -> None:
    digests = {digest(user="me"), digest(user="you"), digest("other", user="me")}

    assert len(digests) == 3
    assert all(-(2**63) <= each < 2**63 for each in digests)


def test_without_the_secret_file_no_guess_can_be_tested(tmp_path: Path) -> None:
    files = [tmp_path / "one", tmp_path / "another"]
    for file in files:
        file.write_text(f"{file.name} secret of an operator\n")
    parameters = GenerationParameters(user="me")

    digests = [end_user_of("default", parameters, SecretVault.load(file)) for file in files]

    assert len({digest(user="me"), *digests}) == 3
    assert digests[0] == end_user_of("default", parameters, SecretVault.load(files[0]))
