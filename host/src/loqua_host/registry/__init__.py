"""Plugins: found, inspected in a child without secrets, loaded in jobs, called with limits."""
