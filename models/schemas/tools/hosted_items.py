"""Items of tools that other servers run: they come with conversations that began elsewhere.

No such tool is run here. Items that carry text are read by the model; those that carry none, such
as images that were generated, are refused by their type.
"""

from typing import Any, Literal

from pydantic import Field

from models.schemas.strict import MAX_PARTS, CallId, FailFastList, ItemId, Label, Text, WireModel
from models.schemas.unserved import ANY, OTHER_ITEM, Unserved

Status = Literal[
    "in_progress", "searching", "interpreting", "completed", "incomplete", "failed", "timeout"
]


_CALLED: Unserved = {**OTHER_ITEM, "caller": ANY}
_SHELL: Unserved = {**_CALLED, "environment": ANY}


class HostedItem(WireModel):
    """Fields of every such item."""

    unserved = OTHER_ITEM

    id: ItemId | None = None
    status: Status | None = None


class FoundFile(WireModel):
    """A passage that a search of files has found."""

    attributes: dict[str, Any] | None = None
    file_id: str | None = None
    filename: str | None = None
    score: float | None = None
    text: Text | None = None


class FileSearchCall(HostedItem):
    """A search of files."""

    type: Literal["file_search_call"]
    queries: list[Text] = Field(max_length=MAX_PARTS)
    results: FailFastList[FoundFile] | None = Field(None, max_length=MAX_PARTS)


class CodeOutput(WireModel):
    """Output of code: its logs, or the address of an image."""

    type: Literal["logs", "image"]
    logs: Text | None = None
    url: Text | None = None


class CodeInterpreterCall(HostedItem):
    """Code that was run."""

    type: Literal["code_interpreter_call"]
    container_id: str | None = None
    code: Text | None = None
    outputs: FailFastList[CodeOutput] | None = Field(None, max_length=MAX_PARTS)


class CalledItem(HostedItem):
    """Fields of a call, or of its output, that are paired by `call_id`."""

    unserved = _CALLED

    call_id: CallId


class ShellAction(WireModel):
    """Commands of a shell."""

    commands: list[Text] = Field(max_length=MAX_PARTS)
    max_output_length: int | None = None
    timeout_ms: int | None = None


class ShellCall(CalledItem):
    """A call of a shell."""

    unserved = _SHELL

    type: Literal["shell_call"]
    action: ShellAction


class Outcome(WireModel):
    """The end of a command."""

    type: Literal["exit", "timeout"]
    exit_code: int | None = None


class ShellResult(WireModel):
    """Output of one command."""

    unserved = OTHER_ITEM

    stdout: Text
    stderr: Text
    outcome: Outcome


class ShellCallOutput(CalledItem):
    """The output of a shell."""

    type: Literal["shell_call_output"]
    output: FailFastList[ShellResult] = Field(max_length=MAX_PARTS)
    max_output_length: int | None = None


class LocalShellAction(WireModel):
    """The command of a local shell."""

    type: Literal["exec"]
    command: list[Text] = Field(max_length=MAX_PARTS)
    env: dict[str, Text] = Field(default_factory=dict)
    timeout_ms: int | None = None
    user: Label | None = None
    working_directory: Text | None = None


class LocalShellCall(CalledItem):
    """A call of a local shell."""

    type: Literal["local_shell_call"]
    action: LocalShellAction


class LocalShellOutput(HostedItem):
    """The output of a local shell; its `id` is that of the call."""

    type: Literal["local_shell_call_output"]
    call_id: CallId | None = None
    output: Text


class PatchOperation(WireModel):
    """A change of one file."""

    type: Literal["create_file", "update_file", "delete_file"]
    path: Text
    diff: Text | None = None


class ApplyPatchCall(CalledItem):
    """A patch of one file."""

    type: Literal["apply_patch_call"]
    operation: PatchOperation


class ApplyPatchOutput(CalledItem):
    """The outcome of a patch."""

    type: Literal["apply_patch_call_output"]
    status: Literal["completed", "failed"]
    output: Text | None = None
