"""Client program on langchain-openai, which completes chats by default."""

from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool as langchain_tool
from langchain_openai import ChatOpenAI
from scenarios import CITY_QUESTION, KEY, MODEL, QUESTION, TOOL_ANSWER, TOOL_QUESTION, City, main


def connect(url: str) -> ChatOpenAI:
    return ChatOpenAI(model=MODEL, base_url=url, api_key=KEY)


def chat(url: str) -> Any:
    message = connect(url).invoke(QUESTION)
    assert message.usage_metadata is not None
    return {"text": message.content}


def stream(url: str) -> Any:
    chunks = list(connect(url).stream(QUESTION))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    return {"deltas": [chunk.content for chunk in chunks if chunk.content], "text": whole.content}


def structured(url: str) -> Any:
    value: Any = connect(url).with_structured_output(City).invoke(CITY_QUESTION)
    return {"value": value.model_dump()}


def turns(url: str) -> Any:
    messages: list[Any] = [HumanMessage("My name is Ada.")]
    first = connect(url).invoke(messages)
    second = connect(url).invoke([*messages, first, HumanMessage("What is my name?")])
    return {"texts": [first.content, second.content]}


def tool(url: str) -> Any:
    @langchain_tool
    def get_weather(city: str) -> str:
        """The weather in a city."""
        return TOOL_ANSWER

    model = connect(url)
    messages: list[Any] = [HumanMessage(TOOL_QUESTION)]
    asked = model.bind_tools([get_weather], tool_choice="any").invoke(messages)
    [call] = asked.tool_calls
    messages += [asked, ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])]
    answer = model.bind_tools([get_weather], tool_choice="none").invoke(messages)
    return {"arguments": call["args"], "text": answer.content}


if __name__ == "__main__":
    main(chat, stream, structured, turns, tool)
