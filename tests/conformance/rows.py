"""Test table with one row per field of the body of POST /v1/responses.

`shown` pairs request fields with fields that the response object must contain, `asked` pairs them
with what the engine must be asked for, and `refused` with the code and the field of the error.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from worker.engine.interface import GenerationRequest

Body = dict[str, Any]
Asked = Callable[[GenerationRequest], bool]

UNKNOWN_ID = "0" * 32
SCHEMA: Body = {"type": "object", "properties": {"a": {"type": "string"}}}
FORMAT: Body = {"type": "json_schema", "name": "a", "schema": SCHEMA}
FUNCTION: Body = {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}
TOOL: Body = {"type": "function", **FUNCTION}
_UNCOMPRESSED: Body = {"context_compression": "disabled"}
TOOLS: Body = {"tools": [TOOL]}
OTHER: Body = {**TOOL, "name": "g"}
NAMED: Body = {"type": "function", "name": "f"}
ALLOWED: Body = {"type": "allowed_tools", "mode": "required", "tools": [NAMED]}
JSON_TEXT: Body = {
    "format": {**FORMAT, "description": None, "strict": False},
    "verbosity": "medium",
}


@dataclass(frozen=True)
class Row:
    """Expected behaviour of one field."""

    shown: tuple[tuple[Body, Body], ...] = ()
    asked: tuple[tuple[Body, Asked], ...] = ()
    refused: tuple[tuple[Body, str, str], ...] = ()


def echo_cases(name: str, *values: Any) -> tuple[tuple[Body, Body], ...]:
    """Return cases in which the response object shows the values as they were given."""
    return tuple(({name: value}, {name: value}) for value in values)


def bound_cases(name: str, kind: str, *, below: Any = None, above: Any = None) -> Any:
    """Return refused cases: a value below and one above the limits, and one of a wrong type."""
    refused: list[tuple[dict[str, Any], str, str]] = [({name: {}}, "invalid_type", name)]
    if below is not None:
        refused.append(({name: below}, f"{kind}_below_min_value", name))
    if above is not None:
        refused.append(({name: above}, f"{kind}_above_max_value", name))
    return tuple(refused)


def tuning_cases(
    name: str, *values: Any, attribute: str | None = None
) -> tuple[tuple[Body, Asked], ...]:
    """Return cases in which the values reach the engine's sampling parameters unchanged."""

    def reaches(value: Any) -> Asked:
        return lambda request: getattr(request.params, attribute or name) == value

    return tuple(({name: value}, reaches(value)) for value in values)


def check_dry(**expected: Any) -> Asked:
    return lambda request: (
        request.params.dry is not None
        and all(getattr(request.params.dry, name) == value for name, value in expected.items())
    )


def label_row(name: str, max_length: int = 64) -> Row:
    return Row(
        shown=echo_cases(name, "x" * max_length),
        refused=(
            ({name: "x" * (max_length + 1)}, "string_above_max_length", name),
            ({name: 7}, "invalid_type", name),
        ),
    )


def has_grammar(request: GenerationRequest) -> bool:
    return request.grammar is not None


def grammar_contains(text: str) -> Asked:
    """Return a check that the request's grammar contains the text."""
    return lambda request: text in (request.grammar or "")


def grammar_lacks(text: str) -> Asked:
    return lambda request: text not in (request.grammar or "")


ROWS: dict[str, Row] = {
    "model": Row(
        shown=tuple(({"model": given}, {"model": "scripted"}) for given in ("default", None)),
        refused=(
            ({"model": "other"}, "model_not_found", "model"),
            ({"model": 7}, "invalid_type", "model"),
        ),
    ),
    "input": Row(
        asked=(
            ({"input": "Hi."}, lambda request: bytes(request.prompt) == b"Hi."),
            (
                {"input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi."}]}]},
                lambda request: bytes(request.prompt) == b"Hi.",
            ),
        ),
        refused=(
            ({"input": None}, "invalid_type", "input"),
            ({"input": ""}, "string_below_min_length", "input"),
            ({"input": []}, "array_below_min_length", "input"),
            ({"input": [{"role": "root", "content": "x"}]}, "invalid_value", "input[0].role"),
            ({"input": [{"id": "msg_x"}]}, "item_not_found", "input[0].id"),
        ),
    ),
    "instructions": Row(
        shown=echo_cases("instructions", "Be brief."),
        asked=(
            ({"instructions": "Be brief."}, lambda r: bytes(r.prompt).startswith(b"Be brief.")),
        ),
        refused=(({"instructions": 7}, "invalid_type", "instructions"),),
    ),
    "previous_response_id": Row(
        refused=(
            (
                {"previous_response_id": f"resp_{UNKNOWN_ID}"},
                "previous_response_not_found",
                "previous_response_id",
            ),
        ),
    ),
    "conversation": Row(
        refused=(
            (
                {"conversation": {"id": f"conv_{UNKNOWN_ID}"}},
                "conversation_not_found",
                "conversation",
            ),
            ({"conversation": 7}, "invalid_type", "conversation"),
        ),
    ),
    "store": Row(
        shown=echo_cases("store", True, False),
        refused=(({"store": "no"}, "invalid_type", "store"),),
    ),
    "background": Row(
        shown=(({"background": True}, {"background": True, "status": "queued", "output": []}),),
    ),
    "stream": Row(refused=(({"stream": "yes"}, "invalid_type", "stream"),)),
    "stream_options": Row(
        shown=tuple(
            ({"stream_options": given}, {"status": "completed"})
            for given in (None, {}, {"include_obfuscation": None})
        ),
        refused=(
            ({"stream_options": {"include_usage": True}}, "invalid_value", "stream_options"),
            (
                {"stream": True, "stream_options": {"a": 1}},
                "unknown_parameter",
                "stream_options.a",
            ),
        ),
    ),
    "include": Row(
        shown=tuple(
            ({"include": [name]}, {"status": "completed"})
            for name in (
                "code_interpreter_call.outputs",
                "computer_call_output.output.image_url",
                "file_search_call.results",
                "message.input_image.image_url",
                "message.output_text.logprobs",
                "reasoning.encrypted_content",
                "web_search_call.action.sources",
            )
        ),
        refused=(({"include": ["everything"]}, "invalid_value", "include[0]"),),
    ),
    "metadata": Row(
        shown=echo_cases("metadata", {"k" * 64: "v" * 512}, {str(n): "" for n in range(16)}),
        refused=(
            ({"metadata": {"k": 1}}, "invalid_type", "metadata.k"),
            ({"metadata": {"k": "v" * 513}}, "string_above_max_length", "metadata.k"),
            (
                {"metadata": {str(n): "" for n in range(17)}},
                "object_above_max_length",
                "metadata",
            ),
        ),
    ),
    "max_output_tokens": Row(
        shown=(
            (
                {"max_output_tokens": 3},
                {
                    "max_output_tokens": 3,
                    "status": "incomplete",
                    "incomplete_details": {"reason": "max_output_tokens"},
                },
            ),
        ),
        asked=tuning_cases("max_output_tokens", 3, attribute="max_tokens"),
        refused=bound_cases("max_output_tokens", "integer", below=0, above=2**31),
    ),
    **{
        alias: Row(
            shown=(({alias: 3}, {"max_output_tokens": 3, "status": "incomplete"}),),
            refused=(
                *bound_cases(alias, "integer", below=0),
                ({alias: 3, "max_output_tokens": 4}, "invalid_value", alias),
            ),
        )
        for alias in ("max_tokens", "max_completion_tokens")
    },
    "max_tool_calls": Row(
        shown=(({**TOOLS, "max_tool_calls": 3}, {"max_tool_calls": 3}),),
        asked=(({**TOOLS, "max_tool_calls": 3}, grammar_contains("{0,2}")),),
        refused=bound_cases("max_tool_calls", "integer", below=0),
    ),
    "parallel_tool_calls": Row(
        shown=(
            ({**TOOLS, "parallel_tool_calls": False}, {"parallel_tool_calls": False}),
            ({}, {"parallel_tool_calls": True}),
        ),
        asked=(
            ({**TOOLS, "parallel_tool_calls": True}, grammar_contains("{0,")),
            ({**TOOLS, "parallel_tool_calls": False}, grammar_lacks("{0,")),
        ),
        refused=(({"parallel_tool_calls": "no"}, "invalid_type", "parallel_tool_calls"),),
    ),
    "tools": Row(
        shown=(
            (TOOLS, {"tools": [TOOL]}),
            ({"tools": [{"type": "function", "function": FUNCTION}]}, {"tools": [TOOL]}),
        ),
        asked=(
            (TOOLS, lambda request: b'"name":"f"' in bytes(request.prompt)),
            (TOOLS, grammar_contains('"f')),
        ),
        refused=(
            ({"tools": [TOOL] * 129}, "array_above_max_length", "tools"),
            ({"tools": [{**TOOL, "name": "a b"}]}, "invalid_value", "tools[0].name"),
            ({"tools": [TOOL, TOOL]}, "invalid_value", "tools[1].name"),
            (
                {"tools": [{**TOOL, "parameters": {"type": "array"}}]},
                "invalid_json_schema",
                "tools[0].parameters",
            ),
        ),
    ),
    "tool_choice": Row(
        shown=tuple(
            ({**TOOLS, "tool_choice": choice}, {"tool_choice": choice})
            for choice in ("none", "auto", "required", NAMED, ALLOWED)
        ),
        asked=(
            ({**TOOLS, "tool_choice": "none"}, lambda request: request.grammar is None),
            ({**TOOLS, "tool_choice": "auto"}, grammar_contains("plain")),
            ({**TOOLS, "tool_choice": "required"}, grammar_lacks("plain")),
            ({"tools": [TOOL, OTHER], "tool_choice": NAMED}, grammar_lacks("call_1")),
            ({"tools": [TOOL, OTHER], "tool_choice": ALLOWED}, grammar_lacks("call_1")),
            (
                {
                    "tools": [TOOL, OTHER],
                    "tool_choice": {"type": "function", "function": {"name": "g"}},
                },
                grammar_contains('\\\\\\"g\\\\\\"'),
            ),
        ),
        refused=(
            ({**TOOLS, "tool_choice": "perhaps"}, "invalid_value", "tool_choice"),
            ({**TOOLS, "tool_choice": {**NAMED, "name": "g"}}, "invalid_value", "tool_choice"),
            ({"tool_choice": "required"}, "invalid_value", "tool_choice"),
        ),
    ),
    "temperature": Row(
        shown=echo_cases("temperature", 0.0, 2.0),
        asked=tuning_cases("temperature", 0.0, 0.5),
        refused=bound_cases("temperature", "decimal", below=-0.1, above=2.1),
    ),
    "top_p": Row(
        shown=echo_cases("top_p", 1.0, 0.1),
        asked=tuning_cases("top_p", 0.5),
        refused=bound_cases("top_p", "decimal", below=0.0, above=1.1),
    ),
    "top_k": Row(
        asked=tuning_cases("top_k", 0, 5),
        refused=bound_cases("top_k", "integer", below=-1),
    ),
    "min_p": Row(
        asked=tuning_cases("min_p", 0.0, 1.0),
        refused=bound_cases("min_p", "decimal", below=-0.1, above=1.1),
    ),
    **{
        name: Row(
            shown=echo_cases(name, -2.0, 2.0),
            asked=tuning_cases(name, 0.5),
            refused=bound_cases(name, "decimal", below=-2.1, above=2.1),
        )
        for name in ("frequency_penalty", "presence_penalty")
    },
    "repetition_penalty": Row(
        asked=tuning_cases("repetition_penalty", 1.5),
        refused=bound_cases("repetition_penalty", "decimal", below=0.0),
    ),
    "dry_multiplier": Row(
        asked=(
            ({"dry_multiplier": 0.8}, check_dry(multiplier=0.8, base=1.75, allowed_length=2)),
            ({"dry_multiplier": 0}, lambda request: request.params.dry is None),
        ),
        refused=bound_cases("dry_multiplier", "decimal", below=-0.1),
    ),
    "dry_base": Row(
        asked=(({"dry_multiplier": 1, "dry_base": 2.0}, check_dry(base=2.0)),),
        refused=bound_cases("dry_base", "decimal", below=-0.1),
    ),
    "dry_allowed_length": Row(
        asked=(({"dry_multiplier": 1, "dry_allowed_length": 4}, check_dry(allowed_length=4)),),
        refused=bound_cases("dry_allowed_length", "integer", below=-1),
    ),
    "dry_sequence_breakers": Row(
        asked=(
            ({"dry_multiplier": 1, "dry_sequence_breakers": []}, check_dry(breaker_moves={})),
            (
                {"dry_multiplier": 1, "dry_sequence_breakers": ["a"]},
                lambda r: r.params.dry is not None and list(r.params.dry.breaker_moves) == [97],
            ),
        ),
        refused=(
            (
                {"dry_sequence_breakers": [""]},
                "string_below_min_length",
                "dry_sequence_breakers[0]",
            ),
        ),
    ),
    "logit_bias": Row(
        asked=(({"logit_bias": {"5": -100}}, lambda r: r.params.logit_bias == {5: -100}),),
        refused=(
            ({"logit_bias": {"x": 1}}, "invalid_value", "logit_bias.x"),
            ({"logit_bias": {"999": 1}}, "invalid_value", "logit_bias.999"),
            ({"logit_bias": {"5": 100.5}}, "decimal_above_max_value", "logit_bias.5"),
        ),
    ),
    "logprobs": Row(
        asked=(({"logprobs": True}, lambda r: r.params.num_top_logprobs == 0),),
        refused=(({"logprobs": "x"}, "invalid_type", "logprobs"),),
    ),
    "top_logprobs": Row(
        shown=(({"logprobs": True, "top_logprobs": 3}, {"top_logprobs": 3}),),
        asked=(({"logprobs": True, "top_logprobs": 3}, lambda r: r.params.num_top_logprobs == 3),),
        refused=bound_cases("top_logprobs", "integer", below=-1, above=21),
    ),
    "stop": Row(
        shown=(({"stop": " is"}, {"status": "completed"}), ({"stop": None}, {})),
        refused=(
            ({"stop": [str(n) for n in range(65)]}, "array_above_max_length", "stop"),
            ({"stop": [""]}, "string_below_min_length", "stop[0]"),
        ),
    ),
    "n": Row(
        shown=(({"n": 16}, {"status": "completed"}),),
        refused=bound_cases("n", "integer", below=0, above=17),
    ),
    "seed": Row(
        asked=tuning_cases("seed", 0, 2**62),
        refused=bound_cases("seed", "integer", above=2**63),
    ),
    "ignore_eos": Row(
        asked=tuning_cases("ignore_eos", True),
        refused=(({"ignore_eos": "yes"}, "invalid_type", "ignore_eos"),),
    ),
    "truncation": Row(
        shown=(*echo_cases("truncation", "auto", "disabled"), ({}, {"truncation": "disabled"})),
        refused=(({"truncation": "bad"}, "invalid_value", "truncation"),),
    ),
    "text": Row(
        shown=(
            ({"text": {"format": {"type": "text"}}}, {}),
            ({"text": {"format": FORMAT}}, {"text": JSON_TEXT}),
            (
                {"text": {"verbosity": "low"}},
                {"text": {"format": {"type": "text"}, "verbosity": "low"}},
            ),
        ),
        asked=(
            ({"text": {"format": FORMAT}}, has_grammar),
            ({"text": {"format": {"type": "json_object"}}}, has_grammar),
        ),
        refused=(
            ({"text": {"verbosity": "loud"}}, "invalid_value", "text.verbosity"),
            ({"text": {"format": {"type": "xml"}}}, "invalid_value", "text.format.type"),
        ),
    ),
    "response_format": Row(
        shown=(({"response_format": FORMAT}, {"text": JSON_TEXT}),),
        asked=(
            (
                {
                    "response_format": {
                        "type": "json_schema",
                        "json_schema": {"name": "a", "schema": SCHEMA},
                    }
                },
                has_grammar,
            ),
        ),
        refused=(
            (
                {"response_format": FORMAT, "text": {"format": {"type": "json_object"}}},
                "invalid_value",
                "response_format",
            ),
        ),
    ),
    "grammar": Row(
        asked=(
            ({"grammar": {"type": "regex", "value": "a+"}}, has_grammar),
            ({"grammar": {"type": "json_schema", "value": SCHEMA}}, has_grammar),
            ({"grammar": {"type": "lark", "value": 'start: "a"'}}, has_grammar),
            (
                {
                    "grammar": {
                        "type": "llguidance",
                        "value": {"grammars": [{"json_schema": SCHEMA}], "max_tokens": 9},
                    }
                },
                has_grammar,
            ),
        ),
        refused=(
            (
                {
                    "grammar": {"type": "regex", "value": "a"},
                    "text": {"format": {"type": "json_object"}},
                },
                "invalid_value",
                "grammar",
            ),
            ({"grammar": {"type": "bnf", "value": "a"}}, "invalid_value", "grammar.type"),
        ),
    ),
    "reasoning": Row(
        shown=(
            *(
                ({"reasoning": given}, {"reasoning": given})
                for effort in ("none", "minimal", "low", "medium", "high", "xhigh", "max")
                for given in [{"effort": effort, "summary": "auto"}]
            ),
            (
                {"reasoning": {"mode": "standard"}},
                {"reasoning": {"effort": None, "summary": None, "mode": "standard"}},
            ),
        ),
        refused=(
            ({"reasoning": {"mode": "pro"}}, "unsupported_parameter", "reasoning.mode"),
            ({"reasoning": {"effort": "huge"}}, "invalid_value", "reasoning.effort"),
            (
                {"reasoning": {"summary": "auto", "generate_summary": "concise"}},
                "invalid_value",
                "reasoning.generate_summary",
            ),
        ),
    ),
    "web_search_options": Row(
        refused=(
            ({"web_search_options": {}}, "search_not_configured", "web_search_options"),
            (
                {"web_search_options": {"search_context_size": "huge"}},
                "invalid_value",
                "web_search_options.search_context_size",
            ),
        ),
    ),
    "service_tier": Row(
        shown=(
            *echo_cases(
                "service_tier", "default", "fast", "flex", "priority", "scale", "ultrafast"
            ),
            ({"service_tier": "auto"}, {"service_tier": "default"}),
        ),
        refused=(({"service_tier": "bad"}, "invalid_value", "service_tier"),),
    ),
    "safety_identifier": label_row("safety_identifier", 128),
    "prompt_cache_key": label_row("prompt_cache_key"),
    "user": label_row("user"),
    "prompt_cache_retention": Row(
        shown=echo_cases("prompt_cache_retention", "in_memory", "24h"),
        refused=(({"prompt_cache_retention": "1h"}, "invalid_value", "prompt_cache_retention"),),
    ),
    "prompt_cache_options": Row(
        shown=(
            *echo_cases("prompt_cache_options", {"mode": "explicit", "ttl": "12h"}),
            (
                {"prompt_cache_options": {"prewarm": False, "comparison_response_id": "r"}},
                {
                    "prompt_cache_options": {
                        "mode": "implicit",
                        "ttl": "30m",
                        "comparison_response_id": "r",
                    }
                },
            ),
        ),
        refused=(
            (
                {"prompt_cache_options": {"prewarm": True}},
                "unsupported_parameter",
                "prompt_cache_options.prewarm",
            ),
            ({"prompt_cache_options": {"ttl": "x"}}, "invalid_value", "prompt_cache_options.ttl"),
        ),
    ),
    "access_programs": Row(
        shown=echo_cases("access_programs", {"cyber": "standard"}),
        refused=(({"access_programs": {"cyber": "x"}}, "invalid_value", "access_programs.cyber"),),
    ),
    "image": Row(
        shown=tuple(
            ({"image": {"context_compression": given}}, {"image": _UNCOMPRESSED})
            for given in ("auto", "disabled")
        ),
        refused=(
            (
                {"image": {"context_compression": "enabled"}},
                "unsupported_parameter",
                "image.context_compression",
            ),
        ),
    ),
    "context_management": Row(
        shown=tuple(
            ({"context_management": given}, {"status": "completed"})
            for given in (
                [],
                [{"type": "compaction"}],
                [{"type": "compaction", "compact_threshold": 1}],
            )
        ),
        refused=(
            (
                {"context_management": [{"type": "compaction", "compact_threshold": 0}]},
                "integer_below_min_value",
                "context_management[0].compact_threshold",
            ),
            (
                {"context_management": [{"type": "clearing"}]},
                "invalid_value",
                "context_management[0].type",
            ),
            ({"context_management": {}}, "invalid_type", "context_management"),
        ),
    ),
    "background_options": Row(
        shown=(
            (
                {"background": True, "background_options": {"completion_window": "2h"}},
                {"service_tier": "flex"},
            ),
            (
                {"background": True, "background_options": {"completion_window": "soonest"}},
                {"service_tier": "default"},
            ),
            ({"background_options": {"continuation_id": "c"}}, {"service_tier": "default"}),
            (
                {"background": True, "background_options": {"not_before": 0}},
                {"background": True},
            ),
        ),
        refused=(
            (
                {"background_options": {"completion_window": "8h"}},
                "invalid_value",
                "background_options.completion_window",
            ),
            (
                {
                    "background": True,
                    "background_options": {"completion_window": "8h"},
                    "service_tier": "priority",
                },
                "invalid_value",
                "background_options.completion_window",
            ),
            (
                {"background_options": {"not_before": 1}},
                "invalid_value",
                "background_options.not_before",
            ),
            (
                {"background": True, "store": False, "background_options": {"not_before": 1}},
                "invalid_value",
                "background_options.not_before",
            ),
            (
                {"background": True, "background_options": {"not_before": 1 << 33}},
                "integer_above_max_value",
                "background_options.not_before",
            ),
            (
                {"background": True, "background_options": {"not_before": -1}},
                "integer_below_min_value",
                "background_options.not_before",
            ),
            (
                {"background": True, "background_options": {"not_before": "tomorrow"}},
                "invalid_type",
                "background_options.not_before",
            ),
            (
                {"background_options": {"completion_window": "1d"}},
                "invalid_value",
                "background_options.completion_window",
            ),
        ),
    ),
    "generate": Row(
        refused=(
            ({"generate": False}, "unsupported_parameter", "generate"),
            ({"generate": 1}, "invalid_type", "generate"),
        ),
    ),
    "client_metadata": Row(
        refused=(
            ({"client_metadata": {"a": 1}}, "invalid_type", "client_metadata.a"),
            ({"client_metadata": []}, "invalid_type", "client_metadata"),
        ),
    ),
}
