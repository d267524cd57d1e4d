"""An MCP server over standard input and output: a dictionary with one word."""

from mcp.server.mcpserver import MCPServer

server = MCPServer("dictionary")


@server.tool()
def translate(word: str) -> str:
    """Translate a word."""
    return {"perro": "dog"}.get(word, "unknown")


if __name__ == "__main__":
    server.run("stdio")
