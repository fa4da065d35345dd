"""MCP server over standard input and output, with one tool that writes a note to a file.

Run in the clients' environment: `notes_server.py FILE`.
"""

import sys
from pathlib import Path

from mcp.server.mcpserver import MCPServer

server = MCPServer("notes")


@server.tool()
def add_note(text: str) -> str:
    """Append a line to the notes."""
    with Path(sys.argv[1]).open("a") as notes:
        notes.write(f"{text}\n")
    return f"noted: {text}"


server.run()
