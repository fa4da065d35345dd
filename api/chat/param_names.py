"""Names of fields in errors: those of the chat, not of the request for a response made from it."""

import re
from collections.abc import Sequence

from api.chat.messages import Source
from models.errors import AppError

_NAMES = {
    "input": "messages",
    "reasoning.effort": "reasoning_effort",
    "text.verbosity": "verbosity",
}
_PARTS = {
    "image_url": "image_url.url",
    "video_url": "video_url.url",
    "file_data": "file.file_data",
    "file_id": "file.file_id",
    "filename": "file.filename",
}
_ITEM = re.compile(r"input\[(\d+)\](?:\.(\w+))?(?:(\[\d+\])(?:\.(\w+))?)?")
_TOOL = re.compile(r"(tools\[(\d+)\])\.(name|parameters|description|strict|format)")
_GRAMMAR = re.compile(r"(format)\.(definition|syntax)")


class ParamNames:
    """Names that fields of a request for a response have in the chat that it was made from."""

    def __init__(self, sources: Sequence[Source], tool_types: Sequence[str]) -> None:
        """Take the sources of the items and the types of the tools, in order."""
        self._sources = sources
        self._tool_types = tool_types

    def translate(self, error: AppError) -> AppError:
        """Return an error that names the field as the client knows it."""
        if error.param is None:
            return error
        name = self._name(error.param)
        message = error.message.replace(f"'{error.param}'", f"'{name}'")
        for pattern in (_ITEM, _TOOL):
            message = pattern.sub(lambda found: self._name(found[0]), message)
        error.param, error.message = name, message
        return error

    def _name(self, param: str) -> str:
        if param in _NAMES:
            return _NAMES[param]
        if (item := _ITEM.match(param)) and int(item[1]) < len(self._sources):
            return self._name_in_message(item) + param[item.end() :]
        if (tool := _TOOL.match(param)) and int(tool[2]) < len(self._tool_types):
            field = _GRAMMAR.sub(r"\1.grammar.\2", param[tool.end(1) + 1 :])
            return f"{tool[1]}.{self._tool_types[int(tool[2])]}.{field}"
        return param

    def _name_in_message(self, item: re.Match[str]) -> str:
        position, field, index, part_field = item.groups()
        source = self._sources[int(position)]
        name = source.path
        if field is not None:
            name += f".{source.fields.get(field, field)}"
        # Reasoning is a text in a chat, and not a list of parts.
        if index is not None and source.fields.get("content") != "reasoning_content":
            name += index
            if part_field is not None:
                name += f".{_PARTS.get(part_field, part_field)}"
        return name
