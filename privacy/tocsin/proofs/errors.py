"""The root of everything that this package refuses."""

from tocsin.primitives.errors import CoreError


class ProofError(CoreError):
    """Bytes that prove nothing. `culprit()` is None: a proof that fails accuses nobody, whoever sent it."""


class BadProofFile(ProofError):
    """Bytes that are not an encoded proof; `field` says which part breaks `rule`."""

    def __init__(self, field: str, rule: str) -> None:
        self.field = field
        self.rule = rule
        super().__init__(f"not a proof: {field}: {rule}")


class NotProven(ProofError):
    """A well-formed proof that does not show what it claims."""
