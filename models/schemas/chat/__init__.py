"""Chat completions as in OpenAI's API: requests, messages, completions and chunks."""
