"""The `grammar` field: a constraint on the output, in one of four languages."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from models.schemas.strict import OBJECT, STRING_OR_OBJECT, Source, WireModel, string_or_object

MAX_GRAMMARS = 64

GRAMMAR_PARAM = "grammar.value"


class RegexGrammar(WireModel):
    """The whole output matches a regular expression (Rust's syntax, no look-around)."""

    type: Literal["regex"]
    value: Source


class LarkGrammar(WireModel):
    """The output is derived from `start` of a Lark grammar in llguidance's dialect."""

    type: Literal["lark"]
    value: Source


class JsonSchemaGrammar(WireModel):
    """The output is an instance of a schema, given as an object or as a JSON string."""

    type: Literal["json_schema"]
    value: Annotated[
        Annotated[dict[str, Any], Tag(OBJECT)] | Annotated[str, Tag(STRING_OR_OBJECT)],
        Discriminator(string_or_object),
    ]


class NamedGrammar(WireModel):
    """One grammar of a list; the others refer to it as `@name`."""

    name: str | None = Field(None, min_length=1, max_length=64)
    json_schema: dict[str, Any] | None = None
    lark_grammar: Source | None = None


class GrammarList(WireModel):
    """Grammars, of which the first is the start rule."""

    grammars: list[NamedGrammar] = Field(min_length=1, max_length=MAX_GRAMMARS)
    max_tokens: int | None = Field(None, ge=1, le=2**31 - 1)


class LlguidanceGrammar(WireModel):
    """llguidance's own format."""

    type: Literal["llguidance"]
    value: GrammarList


Grammar = Annotated[
    RegexGrammar | LarkGrammar | JsonSchemaGrammar | LlguidanceGrammar,
    Field(discriminator="type"),
]
