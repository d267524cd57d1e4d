"""One lesson from its first hook to its record."""
