"""Running a node: its log and its health."""
