"""The oracle of trials with vLLM passes the network's answers, and no others."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM

from tests.chaos.answers import Answer
from tests.chaos.histories import ID, row
from tests.chaos.network import Oracle, save_network
from tests.chaos.plan import Job
from tests.unit.models.tiny_tokenizer import tiny_tokenizer

NUM_TOKENS = 40
PROMPT = "job 7\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chaos") / "network"
    save_network(path)
    return path


@pytest.fixture(scope="module")
def oracle(folder: Path) -> Oracle:
    return Oracle(folder)


@pytest.fixture(scope="module")
def text(folder: Path) -> str:
    """Return the answer that `generate` gives."""
    network: Any = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = tiny_tokenizer()
    ids = torch.tensor([list(tokenizer.encode(PROMPT))])
    output = network.generate(
        ids, max_new_tokens=NUM_TOKENS, do_sample=False, eos_token_id=None, pad_token_id=0
    )
    return str(tokenizer.decode(output[0, ids.shape[1] :]))


def test_the_answer_of_generate_is_right(oracle: Oracle, text: str) -> None:
    assert len(text) == NUM_TOKENS
    assert oracle.answer(PROMPT, text, NUM_TOKENS) == Answer(text, NUM_TOKENS, is_complete=False)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:9] + text[10:],
        lambda text: text[:9] + text[8:],
        lambda text: text[:9],
        lambda text: text[:9] + "~" + text[10:],
        lambda text: "",
    ],
    ids=["a letter less", "a letter twice", "no end", "another letter", "nothing"],
)
def test_any_other_is_wrong(oracle: Oracle, text: str, change: Callable[[str], str]) -> None:
    assert oracle.answer(PROMPT, change(text), NUM_TOKENS).text != change(text)


def test_the_prompt_has_the_turns_before(oracle: Oracle, text: str) -> None:
    second = "resp_2"
    rows = {
        ID: row(text=text),
        second: row(response_id=second, previous_id=ID, metadata={"job": "8"}, text=""),
    }
    jobs = [Job(number=7, max_tokens=NUM_TOKENS), Job(number=8, max_tokens=1)]

    found = oracle.answers(rows, jobs)

    assert found[ID].text == text
    assert found[second] == oracle.answer(f"{PROMPT}{text}\njob 8\n", "", 1)
