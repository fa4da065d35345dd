"""Kinds of networks that are no language models which answer, told by configuration and files."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from worker.engine.checkpoint.files import Checkpoint

_TASKS = {
    "feature-extraction": "an embedding model",
    "sentence-similarity": "an embedding model",
    "text-ranking": "a reranker",
    "text-classification": "a classifier",
    "token-classification": "a classifier",
    "zero-shot-classification": "a classifier",
    "image-classification": "a classifier",
    "fill-mask": "an encoder",
    "question-answering": "an extractive model",
    "automatic-speech-recognition": "a speech recogniser",
    "audio-classification": "a classifier",
    "text-to-speech": "a speech synthesiser",
    "text-to-audio": "an audio generator",
    "text-to-image": "an image generator",
    "image-to-image": "an image generator",
    "text-to-video": "a video generator",
    "image-to-video": "a video generator",
    "object-detection": "a detector",
    "image-segmentation": "a segmenter",
    "depth-estimation": "a depth estimator",
    "translation": "a translator",
    "time-series-forecasting": "a forecaster",
}
"""Tasks of the Hugging Face Hub whose models answer no messages."""
_FILES = {
    "modules.json": "an embedding model",
    "config_sentence_transformers.json": "an embedding model",
    "sentence_bert_config.json": "an embedding model",
    "model_index.json": "a diffusion pipeline",
}
_WORDS = (
    (re.compile(r"(^|[^a-z])(re-?ranker|re-?rank)($|[^a-z])", re.IGNORECASE), "a reranker"),
    (re.compile(r"(^|[^a-z])embeddings?($|[^a-z])", re.IGNORECASE), "an embedding model"),
    (re.compile(r"(^|[^a-z])embed($|[^a-z])", re.IGNORECASE), "an embedding model"),
)
"""Names that say it where nothing else does: a reranker may have the files of a language model."""
_HEADS = {
    "ForSequenceClassification": "a classifier or reranker",
    "ForTokenClassification": "a classifier",
    "ForQuestionAnswering": "an extractive model",
    "ForMaskedLM": "an encoder",
    "ForPreTraining": "an encoder",
    "ForRewardModel": "a reward model",
    "RewardModel": "a reward model",
    "ForRetrieval": "an embedding model",
    "ForTextEncoding": "an embedding model",
    "EncoderModel": "an encoder",
    "EmbeddingModel": "an embedding model",
    "ForImageClassification": "a classifier",
    "ForCTC": "a speech recogniser",
    "ForSpeechSeq2Seq": "a speech recogniser",
    "ForTextToSpeech": "a speech synthesiser",
}
"""Ends of the names of architectures."""
_WITH_OUTPUT = ("LMHeadModel", "ChatModel")
"""Ends of names of networks that do have an output layer, among those that end in `Model`."""
_SPEECH = frozenset(
    {"whisper", "moonshine", "moonshine_streaming", "speech_to_text", "canary", "cohere_asr"}
)
_ENCODERS = frozenset(
    {
        *("bert", "roberta", "xlm-roberta", "xlm-roberta-xl", "distilbert", "albert", "electra"),
        *("deberta", "deberta-v2", "modernbert", "eurobert", "mpnet", "nomic_bert", "gte", "ernie"),
        *("camembert", "big_bird", "longformer", "rembert", "roformer", "jina_embeddings_v3"),
        *("embedding_gemma2", "esm", "esmc", "clip", "siglip", "siglip2", "colpali", "colqwen2"),
    }
)
_ENCODER_DECODERS = frozenset(
    {
        *("t5", "mt5", "umt5", "longt5", "switch_transformers", "t5gemma", "t5gemma2", "bart"),
        *("mbart", "pegasus", "pegasus_x", "marian", "m2m_100", "nllb-moe", "led", "plbart", "mvp"),
        *("blenderbot", "blenderbot-small", "prophetnet", "fsmt", "bigbird_pegasus", "florence2"),
        *("encoder-decoder", "seamless_m4t", "seamless_m4t_v2", "udop", "pix2struct"),
        *("vision-encoder-decoder", "speech-encoder-decoder"),
    }
)


def find_other_kind(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Iterator[str]:
    """Yield a problem if the network generates no text, or not from messages alone."""
    if kind := _kind(checkpoint, config):
        yield f"it is {kind}, not a language model that generates answers"


def _kind(checkpoint: Checkpoint, config: Mapping[str, Any]) -> str:
    """Return the kind of network with its article; empty for a language model."""
    for name, kind in _FILES.items():
        if name in checkpoint.sizes:
            return f"{kind} ({name})"
    if kind := _kind_by_config(config):
        return kind
    if kind := _TASKS.get(checkpoint.task, ""):
        return f"{kind} (its task is {checkpoint.task})"
    for pattern, kind in _WORDS:
        if pattern.search(checkpoint.name.rpartition("/")[2]):
            return f"{kind} by its name ({checkpoint.name})"
    return ""


def _kind_by_config(config: Mapping[str, Any]) -> str:
    model_type = str(config.get("model_type", ""))
    named = config.get("architectures")
    architecture = str(named[0]) if isinstance(named, list) and named else ""
    if architecture.endswith("ForCausalLM"):  # of some families, the decoder alone
        return ""
    if model_type in _SPEECH:
        return f"a speech recogniser (model_type {model_type})"
    if config.get("is_encoder_decoder") is True or model_type in _ENCODER_DECODERS:
        return f"an encoder-decoder (model_type {model_type or 'unknown'})"
    if model_type in _ENCODERS:
        return f"an encoder (model_type {model_type})"
    for end, kind in _HEADS.items():
        if architecture.endswith(end):
            return f"{kind} ({architecture})"
    if architecture.endswith("Model") and not architecture.endswith(_WITH_OUTPUT):
        return f"a network without an output layer, as embedding models are ({architecture})"
    return ""
