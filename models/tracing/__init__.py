"""Traces of responses through all processes, sent to a collector if there is one."""
