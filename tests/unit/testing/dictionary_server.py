"""An MCP server with a one-word dictionary, over HTTP on a given port or standard output."""

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
