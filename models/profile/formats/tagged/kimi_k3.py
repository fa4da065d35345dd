"""Calls of Kimi K3: a section of elements, whose tags consist of tokens and names."""

from models.profile.formats.call_format import NUMBER, OTHER_TYPE, CallFormat, TaggedArguments

KIMI_K3 = CallFormat(
    style="kimi_k3",
    opener="<|open|>tools<|sep|>",
    head='<|open|>call tool="',
    after_name=f'" index="{NUMBER}"<|sep|>',
    arguments=TaggedArguments(
        before_name='<|open|>argument key="',
        after_name='" type="string"<|sep|>',
        after_other_name=f'" type="{OTHER_TYPE}"<|sep|>',
        closer="<|close|>argument<|sep|>",
        between="",
    ),
    tail="<|close|>call<|sep|>",
    end="<|close|>tools<|sep|>",
)
