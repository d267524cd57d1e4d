"""Announcements for waiting learners: one process plays them in all rooms."""
