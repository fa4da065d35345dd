"""Creation of responses: the statements, and the sharing of one among requests at the same time."""
