"""Items as pages show them: text and JSON in blocks, never markup of the model or of a client."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from api.dashboard.formats import format_json, is_web_link

BlockKind = Literal["text", "code", "note", "link"]
_HIDDEN = ("type", "id", "status")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Piece of an item: prose, code, a note about what is not shown, or a link."""

    kind: BlockKind
    text: str
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemView:
    """Item as a page shows it."""

    kind: str
    title: str
    status: str
    blocks: list[Block]


def view_item(item: Mapping[str, Any]) -> ItemView:
    """Return the view of an input or output item."""
    kind = str(item.get("type", "message"))
    return ItemView(
        kind=kind,
        title=_title(kind, item),
        status=str(item.get("status") or ""),
        blocks=[block for block in _blocks(kind, item) if block.text],
    )


def _title(kind: str, item: Mapping[str, Any]) -> str:
    if kind == "message":
        return str(item.get("role", "message"))
    name = item.get("name")
    words = kind.replace("_", " ")
    return f"{words}: {name}" if isinstance(name, str) else words


def _blocks(kind: str, item: Mapping[str, Any]) -> Iterator[Block]:
    match kind:
        case "message":
            yield from _content(item.get("content"))
        case "reasoning":
            yield from _content(item.get("summary"), label="summary")
            yield from _content(item.get("content"))
            if item.get("encrypted_content"):
                yield Block(kind="note", text="Further reasoning is encrypted.")
        case "function_call":
            yield Block(kind="code", text=format_json(item.get("arguments", "")))
        case "custom_tool_call":
            yield Block(kind="code", text=str(item.get("input", "")))
        case "function_call_output" | "custom_tool_call_output":
            yield from _output(item.get("output"))
        case _:
            shown = {name: value for name, value in item.items() if name not in _HIDDEN}
            yield Block(kind="code", text=format_json(shown))


def _output(output: object) -> Iterator[Block]:
    if isinstance(output, list):
        yield from _content(output)
    else:
        yield Block(kind="code", text=format_json(output))


def _content(content: object, label: str = "") -> Iterator[Block]:
    if isinstance(content, str):
        yield Block(kind="text", text=content, label=label)
    elif isinstance(content, list):
        for part in content:
            yield from _part(part, label)


def _part(part: Mapping[str, Any], label: str) -> Iterator[Block]:
    kind = str(part.get("type", ""))
    if isinstance(part.get("text"), str):
        yield Block(kind="text", text=part["text"], label=label)
        yield from _citations(part.get("annotations") or [])
    elif kind == "refusal":
        yield Block(kind="text", text=str(part.get("refusal", "")), label="refusal")
    else:
        yield Block(kind="note", text=_describe(kind, part), label=kind.replace("_", " "))


def _describe(kind: str, part: Mapping[str, Any]) -> str:
    """Return what is known of an image or a file, which pages do not show."""
    name = part.get("filename") or part.get("image_url") or part.get("file_url") or kind
    text = str(name)
    if text.startswith("data:"):
        return f"{text.partition(',')[0][:100]}, {len(text):,} characters"
    return text


def _citations(annotations: list[Any]) -> Iterator[Block]:
    for annotation in annotations:
        url = annotation.get("url") if isinstance(annotation, dict) else None
        if url is None:
            continue
        kind: BlockKind = "link" if is_web_link(url) else "note"
        yield Block(kind=kind, text=str(url), label=str(annotation.get("title") or ""))
