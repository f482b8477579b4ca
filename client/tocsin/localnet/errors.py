"""What can go wrong with a federation on this machine."""


class NodeDidNotStart(RuntimeError):
    """A node process ended or stayed silent; the end of its log is noted with it."""


class NotFollowed(RuntimeError):
    """The nodes did not hold each other's logs in the time given."""
