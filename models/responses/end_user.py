"""End users of a project: responses are claimed in turns for each of them."""

import hmac

from models.encryption.vault import SecretVault
from models.schemas.request.parameters import GenerationParameters

_PURPOSE = "end users"
_DIGEST_BYTES = 8


def end_user_of(project_id: str, parameters: GenerationParameters, vault: SecretVault) -> int:
    """Return a digest of who a response is for; 0 if the request names nobody.

    That is `safety_identifier`, or else `user`, or else `prompt_cache_key`. The digest is stored in
    the place of the text and indexed: an HMAC-SHA256 under a key that is derived from the secret
    file, if there is one, so that guesses cannot be tested without it. It differs from project to
    project, and with the first line of the file: an end user is then another one until what was
    queued before has ended.
    """
    name = parameters.safety_identifier or parameters.user or parameters.prompt_cache_key
    if not name:
        return 0
    key = next((derived.key for derived in vault.derive(_PURPOSE)), b"")
    digest = hmac.digest(key, b"\0".join((project_id.encode(), name.encode())), "sha256")
    return int.from_bytes(digest[:_DIGEST_BYTES], "big", signed=True)
