"""The ground of every error of the core."""


class CoreError(ValueError):
    """Input that was refused: each package's root derives from it. No message holds a secret or a user's value."""

    def culprit(self) -> bytes | None:
        """Return the id (16 bytes) of the member proven at fault, None where the input alone does not show one."""
        return None
