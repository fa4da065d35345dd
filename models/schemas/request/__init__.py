"""The body of POST /v1/responses, field by field."""
