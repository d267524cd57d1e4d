"""The playground: a page to talk with tutors, for development."""
