"""A federation of real node processes on this machine, for the demonstration, tests and benchmarks."""
