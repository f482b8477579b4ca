"""What one tick appends to the member's own log."""
