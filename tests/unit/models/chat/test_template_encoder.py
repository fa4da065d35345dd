"""From items to a prompt: the order of messages, their roles, and the template's own errors."""

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken

from models.chat.prompt import Prompt
from models.chat.scripted_encoder import ScriptedEncoder
from models.chat.template_encoder import TemplateEncoder, load_encoder
from models.errors import InvalidRequestError
from models.profile.weights import Weights
from models.schemas.request.parameters import GenerationParameters
from models.settings import Settings, SettingsError
from tests.unit.models.tiny_tokenizer import tiny_tokenizer

_SHOW_ALL = (
    "{% for message in messages %}[{{ message.role }}:{{ message.content }}]{% endfor %}"
    "{% if add_generation_prompt %}>{% endif %}"
)


def make_encoder(folder: Path, template: str = _SHOW_ALL, **files: Any) -> TemplateEncoder:
    tiny_tokenizer(template).save_pretrained(folder)
    contents = {"config": {"max_position_embeddings": 512}, **files}
    for name, content in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return TemplateEncoder(Weights(model_id="tiny", source="folder", folder=folder))


@pytest.fixture
def encoder(tmp_path: Path) -> TemplateEncoder:
    return make_encoder(tmp_path)


def message(role: str, content: str | list[dict[str, str]]) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content}


def render(
    encoder: TemplateEncoder, *items: dict[str, Any], instructions: str | None = None
) -> str:
    tokens = encoder.encode(Prompt(instructions=instructions, items=items))
    return str(encoder.tokenizer.backend_tokenizer.decode(tokens, skip_special_tokens=False))


def test_the_prompt_ends_where_the_assistants_turn_begins(encoder: TemplateEncoder) -> None:
    items = [message("user", "a"), message("assistant", "b"), message("user", "c")]

    assert render(encoder, *items) == "[user:a][assistant:b][user:c]>"


def test_instructions_come_before_everything_else(encoder: TemplateEncoder) -> None:
    items = [message("assistant", "a"), message("user", "b")]

    assert render(encoder, *items, instructions="i") == "[system:i][assistant:a][user:b]>"


@pytest.mark.parametrize("instructions", [None, ""])
def test_without_instructions_there_is_no_system_message(
    encoder: TemplateEncoder, instructions: str | None
) -> None:
    assert render(encoder, message("user", "a"), instructions=instructions) == "[user:a]>"


def test_a_developer_speaks_as_the_system(encoder: TemplateEncoder) -> None:
    assert render(encoder, message("developer", "a"), message("user", "b")) == (
        "[system:a][user:b]>"
    )


def test_leading_system_messages_become_one(encoder: TemplateEncoder) -> None:
    items = [message("system", "a"), message("developer", "b"), message("user", "c")]

    assert render(encoder, *items, instructions="i") == "[system:i\n\na\n\nb][user:c]>"


def test_a_later_system_message_stays_where_it_is(encoder: TemplateEncoder) -> None:
    items = [message("user", "a"), message("system", "b"), message("developer", "c")]

    assert render(encoder, *items, instructions="i") == ("[system:i][user:a][system:b][system:c]>")


def test_the_parts_of_a_message_are_joined(encoder: TemplateEncoder) -> None:
    asked = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]
    answered = [
        {"type": "output_text", "text": "c"},
        {"type": "output_text", "text": ""},
        {"type": "refusal", "refusal": "d"},
    ]

    assert render(encoder, message("user", asked), message("assistant", answered)) == (
        "[user:ab][assistant:cd]>"
    )


def test_a_message_that_a_template_refuses_is_the_clients_fault(tmp_path: Path) -> None:
    encoder = make_encoder(tmp_path, "{{ raise_exception('no system role') }}")

    with pytest.raises(InvalidRequestError, match=r"tiny refuses .*: no system role") as raised:
        render(encoder, message("user", "a"))

    assert raised.value.param == "input"


@pytest.mark.parametrize(("verbosity", "shown"), [(None, "medium"), ("low", "low")])
def test_the_template_is_told_how_wordy_to_be(
    tmp_path: Path, verbosity: str | None, shown: str
) -> None:
    encoder = make_encoder(tmp_path, "{{ verbosity }}")

    tokens = encoder.encode(Prompt(instructions="i", items=[], verbosity=verbosity))

    assert encoder.tokenizer.decode(tokens) == shown


@pytest.mark.parametrize(("effort", "opens"), [(None, True), ("none", False)])
def test_a_prompt_that_ends_within_reasoning_says_so(
    tmp_path: Path, effort: str | None, opens: bool
) -> None:
    encoder = make_encoder(tmp_path, "<think></think><think>\n")

    encoded = encoder.encode_media(Prompt(instructions="i", items=[], effort=effort))

    assert encoded.opens_reasoning is opens


def test_tags_that_are_special_tokens_are_text_like_any_other(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer("x")
    special = [AddedToken(text, special=True) for text in ("[THINK]", "[/THINK]")]
    tokenizer.add_tokens(special, special_tokens=True)
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 512}')

    encoder = TemplateEncoder(Weights(model_id="tiny", source="folder", folder=tmp_path))

    assert encoder.think_tags == ("[THINK]", "[/THINK]")
    assert encoder.tokenizer.backend_tokenizer.decode([257, 64, 258]) == "[THINK]a[/THINK]"
    assert encoder.token_texts()[257] == b"[THINK]"


def test_limits_and_defaults_come_with_the_weights(tmp_path: Path) -> None:
    defaults = {"temperature": 0.6, "top_p": 0.9, "top_k": 50, "repetition_penalty": 1.1}
    encoder = make_encoder(tmp_path, generation_config=defaults)

    assert (encoder.model_id, encoder.context_length) == ("tiny", 512)
    assert encoder.sampling.model_dump(exclude_none=True) == defaults


@pytest.mark.parametrize(("config", "size"), [({}, 257), ({"vocab_size": 512}, 512)])
def test_the_vocabulary_is_what_the_network_scores_padding_included(
    tmp_path: Path, config: dict[str, int], size: int
) -> None:
    encoder = make_encoder(tmp_path, config={"max_position_embeddings": 512} | config)

    assert encoder.vocab_size == size


def test_every_token_has_a_text_half_characters_and_special_ones_too(
    encoder: TemplateEncoder,
) -> None:
    texts = encoder.token_texts()

    assert sorted(texts[:256]) == [b"", *(bytes([byte]) for byte in range(255))]
    assert texts[256:] == [b"<end>"]


@pytest.mark.parametrize("files", [{}, {"generation_config": {"temperature": None}}])
def test_weights_without_defaults_have_those_of_the_protocol(
    tmp_path: Path, files: dict[str, Any]
) -> None:
    encoder = make_encoder(tmp_path, **files)

    in_force = encoder.sampling.fill(GenerationParameters())

    assert in_force == GenerationParameters(temperature=1.0, top_p=1.0)


def test_the_scripted_encoder_counts_bytes_one_message_a_line() -> None:
    items = [message("user", "ä"), message("assistant", "b")]

    tokens = ScriptedEncoder().encode(Prompt(instructions="i", items=items))

    assert bytes(tokens).decode() == "i\nä\nb"


def test_the_engine_decides_which_encoder_is_loaded() -> None:
    assert isinstance(load_encoder(Settings(engine="scripted")), ScriptedEncoder)


def test_weights_that_are_missing_are_named_with_the_command_that_fetches_them(
    tmp_path: Path,
) -> None:
    settings = Settings(data_dir=tmp_path)

    with pytest.raises(FileNotFoundError, match=rf"{tmp_path}.*antiphon models pull"):
        load_encoder(settings)


def test_the_weights_that_are_there_are_loaded(tmp_path: Path) -> None:
    make_encoder(tmp_path)

    encoder = load_encoder(Settings(model=str(tmp_path)))

    assert encoder.model_id == tmp_path.name


@pytest.mark.parametrize(
    ("config", "context_length"),
    [
        ({"max_position_embeddings": 256}, 256),
        ({"n_positions": 1024}, 1024),
        ({"model_type": "mamba"}, 1 << 17),
    ],
)
def test_a_network_need_not_say_how_long_its_context_is(
    tmp_path: Path, config: dict[str, Any], context_length: int
) -> None:
    assert make_encoder(tmp_path, config=config).context_length == context_length


@pytest.mark.parametrize(("own", "prompt"), [("", "(b)"), ("{{ messages[0].content }}", "b")])
def test_a_template_of_the_settings_serves_weights_that_bring_none(
    tmp_path: Path, own: str, prompt: str
) -> None:
    make_encoder(tmp_path, own)
    template = tmp_path / "other.jinja"
    template.write_text("({{ messages[0].content }})")

    encoder = load_encoder(Settings(model=str(tmp_path), chat_template=template))

    assert isinstance(encoder, TemplateEncoder)
    assert render(encoder, message("user", "b")) == prompt


def test_a_template_of_the_settings_that_cannot_be_read_names_its_variable(tmp_path: Path) -> None:
    make_encoder(tmp_path, "")
    settings = Settings(model=str(tmp_path), chat_template=tmp_path / "none.jinja")

    with pytest.raises(SettingsError, match=r"ANTIPHON_CHAT_TEMPLATE: .*none\.jinja"):
        load_encoder(settings)
