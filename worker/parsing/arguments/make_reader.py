"""Choice of the reader for the arguments of a call."""

from models.profile.formats.call_format import ArgumentNotation, LiteralArguments, TaggedArguments
from worker.parsing.arguments.json_reader import JsonReader
from worker.parsing.arguments.literal_reader import LiteralReader
from worker.parsing.arguments.reader import ArgumentsReader, ArgumentTypes
from worker.parsing.arguments.tagged_reader import TaggedReader


def make_reader(notation: ArgumentNotation, types: ArgumentTypes) -> ArgumentsReader:
    """Return a reader for one call; `types` are those of the function's arguments."""
    match notation:
        case TaggedArguments():
            return TaggedReader(notation, types)
        case LiteralArguments():
            return LiteralReader(notation, types)
        case _:
            return JsonReader()
