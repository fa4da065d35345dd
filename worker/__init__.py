"""Generation of responses: the worker process, its engine, and maintenance."""
