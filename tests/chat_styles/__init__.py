"""Chat templates and small tokenizers in the styles of well-known families of models."""
