"""How many lessons this machine carries."""
