"""Routes of OpenAI's API that clients call by default and this server does not have."""

_REASONS = {
    "/v1/embeddings": (
        "No embedding model is served here. A server of embeddings, such as Text Embeddings "
        "Inference, vLLM or llama.cpp, has this route: give clients its address for embeddings."
    ),
    "/v1/completions": (
        "Text completions are not served here. Use /v1/chat/completions or /v1/responses."
    ),
}


def explain_absence(path: str) -> str:
    """Return the message of the 404 for a path that no route has."""
    return _REASONS.get(path, f"There is nothing at {path}.")
