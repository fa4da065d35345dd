"""Judge of answers that differ between two ways to compute the same network."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from models.chat.prompt import Prompt
from models.chat.template_encoder import TemplateEncoder
from models.profile.weights import Weights
from tests.unit.worker.engine.sampling.test_sampling_mix import is_right
from worker.engine.interface import GenerationRequest
from worker.engine.params import SamplingParams

TIE = 1e-4
"""Distance of two logits, or of a drawn number from the end of an interval, that is a tie."""


class TieJudge:
    """The network as transformers computes it, whose tokens are bytes."""

    def __init__(self, folder: Path) -> None:
        self._network: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self._encoder = TemplateEncoder(Weights(model_id="tiny", source="folder", folder=folder))
        self._ids = {text: number for number, text in enumerate(self._encoder.token_texts())}

    @torch.inference_mode()
    def is_tie(self, body: dict[str, Any], before: list[bytes], pair: list[bytes]) -> bool:
        """Return True if rounding alone decides between two tokens after those before."""
        message = {"type": "message", "role": "user", "content": body["input"]}
        prompt = self._encoder.encode(Prompt(instructions=None, items=[message]))
        generated = [self._ids[text] for text in before]
        ids = torch.tensor([[*prompt, *generated]])
        scores: np.ndarray = self._network(ids).logits[0, -1].double().numpy()
        for token, bias in body["logit_bias"].items():
            scores[int(token)] += bias
        tokens = [self._ids[text] for text in pair]
        if not body["temperature"]:
            return bool(scores.max() - min(scores[tokens]) < TIE)
        params = SamplingParams(
            max_tokens=1, temperature=body["temperature"], top_p=1.0, seed=body["seed"]
        )
        asked = GenerationRequest(
            sequence_id="it", prompt=prompt, generated=generated, params=params
        )
        return all(is_right(token, scores, asked, TIE) for token in tokens)
