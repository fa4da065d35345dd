"""Commands on responses, one file for each group, through the API of a running server."""
