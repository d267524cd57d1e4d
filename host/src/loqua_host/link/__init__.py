"""The link between job processes and the host: a Unix socket, one connection per lesson."""
