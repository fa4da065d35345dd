"""Compilation of grammars in child processes that can be killed, apart from the server's own."""
