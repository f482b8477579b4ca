"""What one tick does to the member's own log."""
