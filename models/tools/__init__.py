"""Tools: which may be called, how a prompt offers them, and the hosted web search."""
