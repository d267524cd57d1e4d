"""Checks tried actively, beside a host that runs or before one does."""
