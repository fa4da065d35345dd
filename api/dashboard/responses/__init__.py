"""Pages about responses: their list, one of them, and what people do with them."""
