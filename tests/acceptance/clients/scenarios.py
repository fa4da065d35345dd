"""Scenarios of the client programs; each prints its result as one line of JSON."""

import asyncio
import inspect
import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

QUESTION = "Say hello."
MODEL = "default"
KEY = "unused"


class City(BaseModel):
    """Schema of the structured outputs."""

    name: str
    population: int


CITY_QUESTION = "Which city is the capital of France, and how many people live there?"

TOOL_QUESTION = "What is the weather in Paris?"
TOOL_ANSWER = "Rain, 8 degrees."


def main(*scenarios: Callable[[str], Any]) -> None:
    """Run the scenarios against the server at `argv[1]`; one that fails does not stop the rest."""
    for scenario in scenarios:
        try:
            result = scenario(sys.argv[1])
            result = asyncio.run(result) if inspect.iscoroutine(result) else result
        except Exception:
            result = {"error": traceback.format_exc()}
        print(json.dumps({scenario.__name__: result}), flush=True)
