"""The operating system and the network: processes, sockets, addresses, the sandbox."""
