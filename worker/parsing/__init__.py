"""From generated tokens to text, and from text to reasoning, tool calls and answer."""
