"""Tools: choice of callable functions, their description in prompts, hosted web search."""
