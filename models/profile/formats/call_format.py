"""Description of the text format in which a model writes tool calls.

Prompts, grammars and the parser of the output all use these descriptions. What the arguments say in
their notation, clients get as JSON.
"""

from dataclasses import dataclass

NUMBER = "\ue000"
"""Place in a delimiter where the model writes a number, such as that of the call."""
OTHER_TYPE = "\ue002"
"""Place in a tag of the JSON type of a value that is no text; integers are numbers there."""


@dataclass(frozen=True, slots=True)
class JsonArguments:
    """A JSON object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggedArguments:
    """Names and values between tags; texts stand as they are, and all other values as JSON.

    A line break at the end of `after_name` belongs to the tags, as does one before `closer`.
    """

    before_name: str
    after_name: str
    """Text between the name of an argument and its value, if that is a text."""
    after_other_name: str = ""
    """The same for other values; empty if it does not differ."""
    closer: str
    """Text after a value."""
    between: str = "\n"
    """Text after each argument."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiteralArguments:
    """Literals: keyword arguments as in Python, or an object whose names are not quoted.

    JSON's literals are understood within them.
    """

    is_object: bool = False
    """True for an object in braces, false for keyword arguments up to the closing parenthesis."""
    quote: str = '"'
    """Delimiter of texts in what is written; one that JSON does not have knows no escapes."""


ArgumentNotation = JsonArguments | TaggedArguments | LiteralArguments

JSON = JsonArguments()
PYTHON = LiteralArguments()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFormat:
    """Delimiters of tool calls in one format.

    All calls of an output are: opener, after_opener, the first call, for each other the separator
    and the call, and the end. A call is: head, name, after_name, arguments, tail, closer. What a
    model writes has the form that grammars impose, or differs from it in white space only.
    """

    style: str
    opener: str = ""
    """Text before the first call; empty if an answer that begins like a call is one."""
    after_opener: str = ""
    """Text between the opener and the first call."""
    head: str = '{"name": "'
    """Text before the name of a call."""
    after_name: str = '", "arguments": '
    """Text between the name and the arguments."""
    arguments: ArgumentNotation = JSON
    tail: str = "}"
    """Text after the arguments."""
    closer: str = ""
    """Text after each call."""
    separator: str = ""
    """Text between two calls."""
    end: str = ""
    """Text after the last call."""
    head_pattern: str = ""
    """Regular expression of all that may stand for `head` in what is read; empty if none other."""
    after_name_pattern: str = ""
    """The same for `after_name`."""
    start_pattern: str = ""
    """Regular expression of the beginning of a call, in formats without an opener."""
    also: "tuple[CallFormat, ...]" = ()
    """Further formats that are read where calls in this one are, and never demanded."""
    takes_one_call: bool = False
    """True if the chat templates take one call per message."""
    id_length: int | None = None
    """Number of letters and digits in the ids that the chat templates take; None for any."""
    has_names_in_ids: bool = False
    """True if the chat templates take the name of a function from the id of its call."""
    takes_text: bool = False
    """True if the chat templates take arguments as a text, not as an object."""

    @property
    def text(self) -> str:
        """Return all delimiters of this format and of those that are read beside it.

        Special tokens among them must be shown by detokenization.
        """
        notation = self.arguments
        names = getattr(notation, "__slots__", ())
        inner = (str(getattr(notation, name)) for name in names)
        own = (self.opener, self.after_opener, self.head, self.after_name, *inner, self.tail)
        more = (self.closer, self.separator, self.end, self.after_name_pattern.replace("\\", ""))
        return "".join([*own, *more, *(other.text for other in self.also)])
