"""An MCP server: a dictionary with one word. It takes a port for HTTP, or uses standard output."""

import sys

from mcp.server.mcpserver import MCPServer

server = MCPServer("dictionary")


@server.tool()
def translate(word: str) -> str:
    """Translate a word."""
    return {"perro": "dog"}.get(word, "unknown")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", port=int(sys.argv[1]))
    else:
        server.run("stdio")
