"""Fields of the body of POST /v1/responses."""

from models.schemas.fields.treatment import FieldNotes, honoured, no_effect, refused

TURN: FieldNotes = {
    "input": honoured("a string, or [items](#items)"),
    "generate": honoured(
        "`false`: the prompt is computed, and nothing generated; on a [WebSocket](#websocket) only"
    ),
    "model": honoured("the id of a served model; `default`, or no value, for the first of them"),
    "instructions": honoured("apply to this turn only"),
    "previous_response_id": honoured("a response that is completed or incomplete"),
    "conversation": honoured("an id, or the object; see [above](#conversations)"),
    "conversation.id": honoured("the same id"),
    "store": honoured(
        "`false`: the content is kept in Redis, encrypted, until it is delivered, and is never in "
        "Postgres; with `background` see [below](#temporary-responses)"
    ),
    "background": honoured("any combination with `stream`"),
    "background_options": honoured("when a background response is to be complete"),
    "background_options.completion_window": honoured(
        "`soonest` is the default; `2h` and `8h` need `background` and mean `service_tier: flex`"
    ),
    "background_options.not_before": honoured(
        "the Unix time before which it is not started, at most 30 days ahead; needs `background` "
        "and `store`; see [below](#later)"
    ),
    "background_options.continuation_id": no_effect("the order of the queue is the service tier's"),
    "stream": honoured("see [above](#events)"),
    "stream_options": honoured("needs `stream`"),
    "stream_options.include_obfuscation": honoured("`false`: no padding; see [above](#events)"),
    "stream_options.include_usage": no_effect("the last response object of a stream has usage"),
    "include": honoured(
        "`message.output_text.logprobs`, `reasoning.encrypted_content`, "
        "`web_search_call.action.sources` and, where items are listed, "
        "`message.input_image.image_url` have their effect; the other names of the API are "
        "accepted and have nothing to apply to; an unknown one is refused (`include[1]`)"
    ),
    "metadata": honoured("up to 16 pairs: stored, included in the response object, filters lists"),
    "truncation": honoured(
        "`disabled`: a prompt that is too long is refused; `auto`: see [below](#truncation)"
    ),
    "service_tier": honoured(
        "within a project, `priority` is claimed before all others, and within a tier what a "
        "client waits for before what is in the background; `flex` is claimed after everything "
        "else, also of other projects; `auto` means `default`; "
        "`fast`, `scale` and `ultrafast` are treated as `default`; included in the response object"
    ),
    "max_tool_calls": honoured("an upper bound on the calls of a response"),
    "parallel_tool_calls": honoured("`false`: at most one call"),
}

SAMPLING: FieldNotes = {
    "max_output_tokens": honoured("if reached: status `incomplete`, reason `max_output_tokens`"),
    "max_tokens": honoured("`max_output_tokens`; two that disagree are refused"),
    "max_completion_tokens": honoured("`max_output_tokens`; two that disagree are refused"),
    "temperature": honoured(
        "0 to 2; the default is the model's own, else 1; 0 takes the likeliest token"
    ),
    "top_p": honoured("above 0 to 1; the default is the model's own, else 1"),
    "top_k": honoured("0 or more, 0 is off; applied after temperature, before top-p and min-p"),
    "min_p": honoured("0 to 1; applied to what top-k and top-p left"),
    "frequency_penalty": honoured(
        "-2 to 2, over generated tokens only: subtracted for each occurrence of a token; "
        "included in the response object"
    ),
    "presence_penalty": honoured(
        "-2 to 2, over generated tokens only: subtracted once per token; included in the response "
        "object"
    ),
    "repetition_penalty": honoured(
        "above 0, 1 is off: divides the positive and multiplies the negative logits of all tokens "
        "of prompt and output"
    ),
    "dry_multiplier": honoured("see [below](#dry)"),
    "dry_base": honoured("see [below](#dry)"),
    "dry_allowed_length": honoured("see [below](#dry)"),
    "dry_sequence_breakers": honoured("see [below](#dry)"),
    "logit_bias": honoured(
        "by token id in decimal, -100 to 100, added to the token's logit; an id that the model "
        "does not have is refused (`logit_bias.50000`)"
    ),
    "ignore_eos": honoured(
        "`true`: the output continues past the model's end token, up to its limit"
    ),
    "seed": honoured(
        "64-bit integer (extension): equal requests give equal tokens, whatever else is running, "
        "exactly in float32"
    ),
    "stop": honoured("a string or up to 64; never part of the output"),
    "n": honoured("1 to 16 choices, see [below](#choices); more than one not with `conversation`"),
    "logprobs": honoured("see [below](#log-probabilities)"),
    "top_logprobs": honoured("0 to 20, see [below](#log-probabilities)"),
}

FORMAT: FieldNotes = {
    "text": honoured("format and verbosity of the output"),
    "text.format": honoured("the output is constrained to it; see [below](#constraints)"),
    "text.format.type": honoured("`text`, `json_object` (any JSON object) or `json_schema`"),
    "text.format.schema": honoured("enforced, also without `strict`"),
    "text.format.name": no_effect("included in the response object"),
    "text.format.description": no_effect("included in the response object"),
    "text.format.strict": no_effect("schemas are enforced in any case"),
    "text.verbosity": honoured("passed to the chat template"),
    "response_format": honoured(
        "`text.format` as chat completions name it; both are accepted only if they agree"
    ),
    "response_format.type": honoured("as in `text.format`"),
    "response_format.schema": honoured("as in `text.format`"),
    "response_format.name": no_effect("as in `text.format`"),
    "response_format.description": no_effect("as in `text.format`"),
    "response_format.strict": no_effect("as in `text.format`"),
    "response_format.json_schema": honoured("the nested form of chat completions"),
    "response_format.json_schema.schema": honoured("as in `text.format`"),
    "response_format.json_schema.name": no_effect("as in `text.format`"),
    "response_format.json_schema.description": no_effect("as in `text.format`"),
    "response_format.json_schema.strict": no_effect("as in `text.format`"),
    "grammar": honoured("not with a JSON format; see [below](#constraints)"),
    "grammar.type": honoured("`regex` (Rust's syntax), `json_schema`, `lark` or `llguidance`"),
    "grammar.value": honoured(
        "a text; of `json_schema` also an object; of `llguidance` an object with `grammars`"
    ),
    "grammar.value.grammars": honoured("a list, of which the first is the start"),
    "grammar.value.grammars[].name": honoured("the others refer to it as `@name`"),
    "grammar.value.grammars[].json_schema": honoured("a schema"),
    "grammar.value.grammars[].lark_grammar": honoured("a grammar"),
    "grammar.value.max_tokens": honoured("as `max_output_tokens`; the smaller applies"),
}

REASONING: FieldNotes = {
    "reasoning": honoured("included in the response object"),
    "reasoning.effort": honoured(
        "passed to the chat template, as the nearest level that it names (`max` as `xhigh` or "
        "`high`); `none` and `minimal` switch reasoning off"
    ),
    "reasoning.summary": honoured("an extract of the reasoning"),
    "reasoning.generate_summary": honoured("`reasoning.summary`; two that disagree are refused"),
    "reasoning.context": honoured("whose reasoning the model reads again; see [above](#reasoning)"),
    "reasoning.mode": refused("`standard` is accepted; included in the response object"),
}

HINTS: FieldNotes = {
    "client_metadata": no_effect("up to 64 pairs of strings; not stored"),
    "prompt_cache_key": honoured(
        "prefixes of prompts are cached separately for each key; names the end user if `user` does "
        "not; included in the response object"
    ),
    "prompt_cache_retention": no_effect("included in the response object"),
    "prompt_cache_options": no_effect(
        "prefixes are cached in any case, for as long as there is room; included in the response "
        "object"
    ),
    "prompt_cache_options.mode": no_effect("included in the response object"),
    "prompt_cache_options.ttl": no_effect("included in the response object"),
    "prompt_cache_options.comparison_response_id": no_effect("there are no diagnostics"),
    "prompt_cache_options.prewarm": honoured(
        "`true`: as `generate: false`, also if that says otherwise; on a [WebSocket](#websocket) "
        "only"
    ),
    "access_programs": no_effect("included in the response object"),
    "access_programs.cyber": no_effect("no ability of a model is withheld"),
    "image": no_effect("included in the response object"),
    "image.context_compression": refused("`auto` and `disabled` are accepted"),
    "safety_identifier": honoured(
        "up to 128 characters; end users of a project [take turns](tenancy.md#fairness); included "
        "in the response object"
    ),
    "user": honoured(
        "up to 64 characters; names the end user if `safety_identifier` does not; included in the "
        "response object"
    ),
    "context_management": honoured("see [above](#counting-and-compacting)"),
    "context_management[].type": honoured("`compaction`"),
    "context_management[].compact_threshold": honoured(
        "the length of the prompt, in tokens, beyond which it is compacted; without it, the length "
        "that leaves room for the output"
    ),
    "moderation": refused("there is no moderation"),
    "personality": refused("models have no presets of style"),
    "prompt": refused("there are no prompt templates"),
    "adapter": refused("there are no adapters"),
    "files": refused("`[]` is accepted"),
    "max_tool_rounds": refused("`max_tool_calls` bounds the calls"),
}
