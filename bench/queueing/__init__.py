"""Parts of the queue benchmark: request rates, streams and first tokens."""
