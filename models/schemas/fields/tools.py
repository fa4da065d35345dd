"""Tools, their fields that are not acted on, and `tool_choice`."""

from models.schemas.fields.treatment import FieldNotes, honoured, no_effect, refused

TOOLS: FieldNotes = {
    "function": honoured(
        "run by the client; flat, or nested as in chat completions; `strict`: arguments match the "
        "schema exactly"
    ),
    "function.allowed_callers": refused('`["direct"]` is accepted'),
    "function.async": refused("`false` is accepted"),
    "function.output_schema": no_effect("included in the response object"),
    "custom": honoured(
        "run by the client with a text; a `format` of type `grammar` is enforced; see "
        "[above](#custom-tools)"
    ),
    "custom.allowed_callers": refused('`["direct"]` is accepted'),
    "custom.async": refused("`false` is accepted"),
    "namespace": honoured("a group of functions and custom tools"),
    "tool_search": honoured(
        "run by the client: `execution` must be `client`; see [above](#tools-that-come-later)"
    ),
    "web_search": honoured(
        "run by the server, which needs `ANTIPHON_SEARXNG_URL`; also as `web_search_2025_08_26`, "
        "`web_search_preview` and `web_search_preview_2025_03_11`; `external_web_access: false` "
        "leaves it out"
    ),
    "web_search.search_content_types": no_effect("results are text"),
    "mcp": honoured(
        "run by the server: of servers that `ANTIPHON_MCP_SERVERS` or "
        "`ANTIPHON_MCP_PUBLIC_SERVERS` allow; not in chat completions; see [above](#mcp-tools)"
    ),
    "mcp.allowed_callers": refused('`["direct"]` is accepted'),
    "mcp.connector_id": refused("`server_url`, or a server of the settings, instead"),
    "mcp.defer_loading": refused("`false` is accepted"),
    "mcp.tunnel_id": refused("`server_url`, or a server of the settings, instead"),
    "apply_patch": refused("not served"),
    "code_interpreter": refused("not served"),
    "computer": refused("not served"),
    "computer_use_preview": refused("not served"),
    "file_search": refused("not served"),
    "image_generation": refused("not served"),
    "local_shell": refused("not served"),
    "programmatic_tool_calling": refused("not served"),
    "shell": refused("not served"),
}
"""Types of tools, and fields of a type."""

CHOICE: FieldNotes = {
    "tools": honoured("up to 128; see [above](#functions) and [below](#tools)"),
    "tool_choice": honoured("`none`, `auto`, `required`, or an object"),
    "tool_choice.type": honoured("`function`, `custom`, `web_search`, `mcp` or `allowed_tools`"),
    "tool_choice.name": honoured("the tool that must be called; of an MCP server, any without it"),
    "tool_choice.server_label": honoured("the MCP server of which a tool must be called"),
    "tool_choice.namespace": honoured("its namespace; without one, a tool of any"),
    "tool_choice.function": honoured("the nested form of chat completions"),
    "tool_choice.function.name": honoured("the function that must be called"),
    "tool_choice.mode": honoured("of `allowed_tools`: `none`, `auto` or `required`"),
    "tool_choice.tools": honoured("of `allowed_tools`: the tools that may be called"),
    "web_search_options": honoured("the same as a `web_search` tool with these options"),
    "web_search_options.search_context_size": honoured("how much of the pages is read"),
    "web_search_options.user_location": honoured("told to the model"),
    "web_search_options.user_location.type": no_effect("always `approximate`"),
    "web_search_options.user_location.city": honoured("told to the model"),
    "web_search_options.user_location.country": honoured("told to the model"),
    "web_search_options.user_location.region": honoured("told to the model"),
    "web_search_options.user_location.timezone": honoured("told to the model"),
    "web_search_options.search_description": honoured("told to the model"),
    "web_search_options.extract_description": honoured("told to the model"),
}
