"""Speech and language engines, built from config/, and their fallbacks."""
