"""Client programs that complete chats."""
