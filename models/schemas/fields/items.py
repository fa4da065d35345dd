"""Types of input items and of content parts, and their fields that are not acted on."""

from models.schemas.fields.treatment import FieldNotes, honoured, no_effect, refused

_AS_DUMPED = no_effect("as clients dump it")
_PARSED = no_effect("as the parse helpers of clients add it")

ITEMS: FieldNotes = {
    "message": honoured(
        "roles `user`, `assistant`, `system` and `developer`; `name` reaches chat templates that "
        "show it; `type` may be left out. In the shape of chat completions: a message of the "
        "assistant with `tool_calls`, which becomes a `function_call` for each, and the role "
        "`tool` with `tool_call_id`, which becomes a `function_call_output`"
    ),
    "message.annotations": refused("`[]` is accepted"),
    "message.audio": refused("null is accepted"),
    "message.created_by": _AS_DUMPED,
    "message.function_call": refused("null is accepted; `tool_calls` is its newer form"),
    "message.parsed": _PARSED,
    "message.refusal": refused("null is accepted; refusals are parts"),
    "function_call": honoured("must have its output in the context or the input"),
    "function_call.async": refused("`false` is accepted"),
    "function_call.caller": refused('`{"type": "direct"}` is accepted'),
    "function_call.created_by": _AS_DUMPED,
    "function_call.parsed_arguments": no_effect("as the parse helpers of clients add it"),
    "function_call_output": honoured(
        "text, or parts with text and images; without `call_id`, of the latest open call of `name`"
    ),
    "function_call_output.caller": refused('`{"type": "direct"}` is accepted'),
    "function_call_output.created_by": _AS_DUMPED,
    "custom_tool_call": honoured("must have its output in the context or the input"),
    "custom_tool_call.async": refused("`false` is accepted"),
    "custom_tool_call.caller": refused('`{"type": "direct"}` is accepted'),
    "custom_tool_call.created_by": _AS_DUMPED,
    "custom_tool_call.parsed_arguments": no_effect("as the parse helpers of clients add it"),
    "custom_tool_call_output": honoured("text, or parts with text and images"),
    "custom_tool_call_output.caller": refused('`{"type": "direct"}` is accepted'),
    "custom_tool_call_output.created_by": _AS_DUMPED,
    "tool_search_call": honoured("must have its output in the context or the input"),
    "tool_search_call.created_by": _AS_DUMPED,
    "tool_search_output": honoured("its `tools` may be called from there on"),
    "tool_search_output.created_by": _AS_DUMPED,
    "additional_tools": honoured("its `tools` may be called from there on"),
    "additional_tools.created_by": _AS_DUMPED,
    "reasoning": honoured("placed before the assistant's next item; in the open or encrypted"),
    "reasoning.created_by": _AS_DUMPED,
    "item_reference": honoured("a stored item; `type` may be left out"),
    "compaction": honoured("of `/v1/responses/compact`: read as a system message"),
    "compaction.created_by": _AS_DUMPED,
    "file_search_call": honoured("of another server: read as text"),
    "file_search_call.created_by": _AS_DUMPED,
    "code_interpreter_call": honoured("of another server: read as text"),
    "code_interpreter_call.created_by": _AS_DUMPED,
    "shell_call": honoured("of another server: read as text"),
    "shell_call.caller": _AS_DUMPED,
    "shell_call.created_by": _AS_DUMPED,
    "shell_call.environment": _AS_DUMPED,
    "shell_call_output": honoured("of another server: read as text"),
    "shell_call_output.caller": _AS_DUMPED,
    "shell_call_output.created_by": _AS_DUMPED,
    "local_shell_call": honoured("of another server: read as text"),
    "local_shell_call.caller": _AS_DUMPED,
    "local_shell_call.created_by": _AS_DUMPED,
    "local_shell_call_output": honoured("of another server: read as text"),
    "local_shell_call_output.created_by": _AS_DUMPED,
    "apply_patch_call": honoured("of another server: read as text"),
    "apply_patch_call.caller": _AS_DUMPED,
    "apply_patch_call.created_by": _AS_DUMPED,
    "apply_patch_call_output": honoured("of another server: read as text"),
    "apply_patch_call_output.caller": _AS_DUMPED,
    "apply_patch_call_output.created_by": _AS_DUMPED,
    "web_search_call": honoured("with `results`, which the model reads again"),
    "web_search_call.created_by": _AS_DUMPED,
    "mcp_list_tools": honoured("the server is not asked again"),
    "mcp_list_tools.created_by": _AS_DUMPED,
    "mcp_list_tools.status": _AS_DUMPED,
    "mcp_call": honoured("with `output` or `error`, which the model reads again"),
    "mcp_call.created_by": _AS_DUMPED,
    "mcp_approval_request": honoured("with its `id`, to which an answer refers"),
    "mcp_approval_request.created_by": _AS_DUMPED,
    "mcp_approval_request.status": _AS_DUMPED,
    "mcp_approval_response": honoured("the call is made first, or the model told that it is not"),
    "mcp_approval_response.created_by": _AS_DUMPED,
    "mcp_approval_response.status": _AS_DUMPED,
}
"""Types of items, and fields of a type."""

_BREAKPOINT = no_effect("prefixes are cached in any case")

PARTS: FieldNotes = {
    "input_text": honoured("text"),
    "input_text.annotations": _AS_DUMPED,
    "input_text.logprobs": _AS_DUMPED,
    "input_text.prompt_cache_breakpoint": _BREAKPOINT,
    "text": honoured("text, in messages, outputs of functions and reasoning"),
    "text.annotations": _AS_DUMPED,
    "text.logprobs": _AS_DUMPED,
    "text.parsed": _PARSED,
    "text.prompt_cache_breakpoint": _BREAKPOINT,
    "output_text": honoured("text; annotations and log probabilities are not read"),
    "output_text.parsed": _PARSED,
    "output_text.prompt_cache_breakpoint": _BREAKPOINT,
    "refusal": honoured("text"),
    "reasoning_text": honoured("text of a reasoning item"),
    "summary_text": honoured("read where a reasoning item has no other text"),
    "input_image": honoured("see [below](#images)"),
    "input_image.annotations": _AS_DUMPED,
    "input_image.logprobs": _AS_DUMPED,
    "input_image.prompt_cache_breakpoint": _BREAKPOINT,
    "input_image.text": refused("null is accepted"),
    "input_file": refused("no model here takes it"),
    "input_file.prompt_cache_breakpoint": _BREAKPOINT,
    "input_video": refused("no model here takes it"),
    "input_audio": refused("no model here takes it"),
}
"""Types of content parts, and fields of a type."""
