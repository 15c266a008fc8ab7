"""Case S003: a flat transformer."""
