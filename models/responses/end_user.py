"""End users of a project: responses are claimed in turns for each of them."""

from hashlib import blake2b

from models.schemas.request.parameters import GenerationParameters


def end_user_of(project_id: str, parameters: GenerationParameters) -> int:
    """Return a digest of who a response is for; 0 if the request names nobody.

    That is `safety_identifier`, or else `user`, or else `prompt_cache_key`. The digest is stored in
    the place of the text and indexed; it differs from project to project.
    """
    name = parameters.safety_identifier or parameters.user or parameters.prompt_cache_key
    if not name:
        return 0
    digest = blake2b(name.encode(), digest_size=8, key=blake2b(project_id.encode()).digest())
    return int.from_bytes(digest.digest(), "big", signed=True)
