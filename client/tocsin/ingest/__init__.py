"""Gateway logs to indicators: what a provider has on disk becomes values that it can report or query."""
