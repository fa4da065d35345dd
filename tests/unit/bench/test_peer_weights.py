"""Weights converted for peers, and the formats in which they are cached."""

from pathlib import Path

import pytest
import torch

from bench.peers.weights.converted import convert_once
from bench.peers.weights.random_weights import plain_token_mask


class Words:
    def get_vocab(self) -> dict[str, int]:
        return {"<|end|>": 0, "a": 1, "Ġsea": 2, "Ċ": 3, "7": 4, "ž": 5, "far": 9}


def test_only_words_are_ever_drawn() -> None:
    assert plain_token_mask(Words(), 6).tolist() == [False, True, True, False, False, False]
    assert plain_token_mask(Words(), 6).dtype == torch.bool


def test_what_is_converted_is_kept(tmp_path: Path) -> None:
    calls: list[Path] = []

    def convert(to: Path) -> None:
        calls.append(to)
        to.write_text("weights")

    weights = tmp_path / "weights" / "small"
    paths = [convert_once(weights, "small.gguf", convert) for _ in range(2)]

    assert len(calls) == 1
    assert paths == [tmp_path / "peers" / "small" / "small.gguf"] * 2
    assert paths[0].read_text() == "weights"


def test_what_breaks_off_is_not_taken_for_whole(tmp_path: Path) -> None:
    def break_off(to: Path) -> None:
        to.mkdir()
        raise OSError("disk full")

    weights = tmp_path / "weights" / "small"
    for _ in range(2):
        with pytest.raises(OSError, match="disk full"):
            convert_once(weights, "folder", break_off)

    assert convert_once(weights, "folder", lambda to: to.mkdir()).is_dir()
