"""Config of the language model within that of a whole model."""

from typing import Any


def text_config_name(config: Any) -> str:
    """Return the attribute of a config that holds the language model's config.

    Returns "" if the config is itself that of the language model.
    """
    text = config.get_text_config()
    names = (name for name in config.sub_configs if getattr(config, name, None) is text)
    return next(names, "")


def network_loader(config: Any) -> Any:
    """Return the class of transformers that loads networks with this configuration."""
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    return AutoModelForImageTextToText if text_config_name(config) else AutoModelForCausalLM
