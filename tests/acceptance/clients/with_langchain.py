"""Client program on langchain-openai."""

from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool as langchain_tool
from langchain_openai import ChatOpenAI
from scenarios import (
    CITY_QUESTION,
    KEY,
    MODEL,
    QUESTION,
    TOOL_ANSWER,
    TOOL_QUESTION,
    City,
    main,
)


def connect(url: str, **options: Any) -> ChatOpenAI:
    return ChatOpenAI(
        model=MODEL,
        base_url=url,
        api_key=KEY,
        max_retries=0,
        temperature=0,
        use_responses_api=True,
        **options,
    )


def chat(url: str) -> Any:
    message = connect(url).invoke(QUESTION)
    return {"id": message.response_metadata["id"], "text": message.text}


def stream(url: str) -> Any:
    chunks = list(connect(url).stream(QUESTION))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    deltas = [chunk.text for chunk in chunks if chunk.text]
    return {"id": whole.response_metadata["id"], "deltas": deltas, "text": whole.text}


def structured(url: str) -> Any:
    answer = connect(url).with_structured_output(City, include_raw=True).invoke(CITY_QUESTION)
    if answer["parsing_error"]:
        raise answer["parsing_error"]
    return {
        "id": answer["raw"].response_metadata["id"],
        "value": answer["parsed"].model_dump(),
    }


def chain(url: str) -> Any:
    model = connect(url, use_previous_response_id=True)
    messages: list[Any] = [HumanMessage("My name is Ada.")]
    first = model.invoke(messages)
    second = model.invoke([*messages, first, HumanMessage("What is my name?")])
    ids = [answer.response_metadata["id"] for answer in (first, second)]
    return {"ids": ids, "text": second.text}


def tool(url: str) -> Any:
    @langchain_tool
    def get_weather(city: str) -> str:
        """The weather in a city."""
        return TOOL_ANSWER

    model = connect(url)
    messages: list[Any] = [HumanMessage(TOOL_QUESTION)]
    asked = model.bind_tools([get_weather], tool_choice="any", strict=True).invoke(messages)
    [call] = asked.tool_calls
    messages += [asked, ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])]
    answer = model.bind_tools([get_weather], tool_choice="none").invoke(messages)
    text = answer.text
    return {"id": answer.response_metadata["id"], "arguments": call["args"], "text": text}


if __name__ == "__main__":
    main(chat, stream, structured, chain, tool)
