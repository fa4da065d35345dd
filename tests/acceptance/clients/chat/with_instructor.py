"""Client program on instructor, in its default mode, which calls a function."""

from typing import Any

import instructor
from openai import OpenAI
from scenarios import CITY_QUESTION, KEY, MODEL, City, main


def connect(url: str) -> Any:
    return instructor.from_openai(OpenAI(base_url=url, api_key=KEY, max_retries=0))


def structured(url: str) -> Any:
    messages = [{"role": "user", "content": CITY_QUESTION}]
    value = connect(url).create(model=MODEL, response_model=City, messages=messages)
    return {"value": value.model_dump()}


def partial(url: str) -> Any:
    messages = [{"role": "user", "content": CITY_QUESTION}]
    *_, last = connect(url).create_partial(model=MODEL, response_model=City, messages=messages)
    return {"value": last.model_dump()}


if __name__ == "__main__":
    main(structured, partial)
