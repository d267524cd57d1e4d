"""What operators see: logs, health, figures, a page."""
