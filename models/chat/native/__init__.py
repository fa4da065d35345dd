"""Messages as the chat templates of single model families take them."""
