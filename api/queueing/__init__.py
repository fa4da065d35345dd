"""Places of queued responses: their position and expected wait, as clients are told."""
