"""Tells learners who wait for a place so, aloud: one light process plays it in all their rooms."""
