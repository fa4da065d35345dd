"""Creation of generations: pipelines from tokens to text, and the rules of the output."""

from collections import Counter

from models.chat.prompt import ChatEncoder, EncodedPrompt
from models.grammars.calls.argument_types import argument_types
from models.profile.formats.call_format import CallFormat, JsonArguments
from models.recording.recorder import Recorder
from models.schemas.request.parameters import GenerationParameters
from models.schemas.tools.call_items import HostedType
from models.schemas.tools.mcp import MAX_CALLS
from models.tools.choice import CallRule, call_rule, format_of
from models.tools.mcp.functions import has_mcp
from models.tools.search_choice import offered_search
from models.tools.web_search import SOURCES
from worker.engine.interface import Tokenizer
from worker.generation.generation import Generation
from worker.generation.output.logprobs import LogprobFormatter
from worker.generation.output.rules import PLAIN_RULES, OutputRules
from worker.parsing.arguments.reader import ArgumentTypes
from worker.parsing.text_pipeline import TextPipeline
from worker.parsing.turns import TurnFormat

MAX_SEARCHES = 32
"""Most searches of one response; `max_tool_calls` can only lower it."""


class GenerationFactory:
    """Creates generations for one model; safe from any thread."""

    def __init__(self, encoder: ChatEncoder, tokenizer: Tokenizer) -> None:
        self._encoder = encoder
        self._tokenizer = tokenizer
        self._format_logprob = LogprobFormatter(encoder.token_texts, tokenizer).format

    def create(
        self,
        recorder: Recorder,
        parameters: GenerationParameters,
        prompt: EncodedPrompt,
        rules: OutputRules = PLAIN_RULES,
    ) -> Generation:
        """Return a generation without tokens, with the choices that `parameters` ask for."""
        return Generation(
            recorder.record,
            recorder,
            [self._build_pipeline(parameters, prompt) for _ in range(parameters.num_choices)],
            num_prompt_tokens=len(prompt),
            format_logprob=self._format_logprob,
            rules=rules,
        )

    def create_opening(self, recorder: Recorder) -> Generation:
        """Return a generation without choices, for what comes before the first token."""
        generation = Generation(
            recorder.record,
            recorder,
            [],
            num_prompt_tokens=0,
            format_logprob=self._format_logprob,
        )
        generation.is_opening = True
        return generation

    def _build_pipeline(
        self, parameters: GenerationParameters, prompt: EncodedPrompt
    ) -> TextPipeline:
        rule = call_rule(parameters)
        can_call = rule.tools or offered_search(parameters)
        call_format = format_of(parameters, self._encoder.profile) if can_call else None
        turn_format = TurnFormat(
            think_tags=self._encoder.think_tags,
            answer_tags=self._encoder.answer_tags,
            call_format=call_format,
            functions=frozenset(rule.by_name),
            inputs=rule.input_ends,
            types=_types(rule, call_format),
        )
        return TextPipeline(
            self._tokenizer,
            parameters.stop,
            turn_format,
            opens_reasoning=prompt.opens_reasoning,
        )


def _types(rule: CallRule, call_format: CallFormat | None) -> dict[str, ArgumentTypes]:
    """Return the types of the functions' arguments, unless all calls that are read show them."""
    forms = (call_format, *call_format.also) if call_format else ()
    if all(isinstance(form.arguments, JsonArguments) for form in forms):
        return {}
    return {name: argument_types(tool.parameters or {}) for name, tool in rule.by_name.items()}


def output_rules(parameters: GenerationParameters) -> OutputRules:
    """Return the rules that the output of a request keeps to."""
    rule = call_rule(parameters)
    return OutputRules(
        hides_reasoning=parameters.effort == "none",
        shows_sources=SOURCES in parameters.include,
        max_hosted=_max_hosted(parameters),
        max_calls=rule.max_calls,
        functions=rule.by_name,
    )


def _max_hosted(parameters: GenerationParameters) -> Counter[HostedType]:
    """Return the most calls that the server answers, by the type of their items."""
    limit = parameters.max_tool_calls or MAX_CALLS
    most: Counter[HostedType] = Counter()
    if offered_search(parameters) is not None:
        most["web_search_call"] = min(limit, MAX_SEARCHES)
    if has_mcp(parameters):
        most["mcp_call"] = min(limit, MAX_CALLS)
    return most
