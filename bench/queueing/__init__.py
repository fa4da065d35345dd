"""Parts of the queue benchmark: requests, streams and first tokens."""
