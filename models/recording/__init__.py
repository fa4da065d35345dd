"""Making, logging and finishing the events of one attempt."""
