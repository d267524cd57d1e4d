"""Lessons in the host: lifecycle, from the accepted job to the record."""
