"""Who may do what: API keys, their scopes, and the projects that they belong to."""
