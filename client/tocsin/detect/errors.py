"""What can go wrong in detection. Every message says what happened, to what, and what to do next; none quotes a
value.
"""

from __future__ import annotations


class DetectError(Exception):
    """Root of the errors of `tocsin.detect`."""


class BadHoldings(DetectError, ValueError):
    """A source of holdings, accounts or verdicts that cannot be read; the message names it."""


class BadRules(DetectError, ValueError):
    """A rule that does not exist, or a threshold outside its range."""


class BadPopulation(DetectError, ValueError):
    """A population's folder that does not have the documented format; the message names the file."""


class BadScenario(DetectError, ValueError):
    """A scenario file with an unknown key or a value out of range."""


class ExtraMissing(DetectError, ValueError):
    """The extra `detect` is not installed."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not installed: pip install 'tocsin[detect]'")


class NoSuchAccount(DetectError, ValueError):
    """An account that the run to be explained did not score."""


class AgreementTooLow(DetectError):
    """The team's verdicts do not agree often enough, or were not compared often enough, to share them on."""


class BadWebhook(DetectError, ValueError):
    """A webhook whose address, secret or certificate authority cannot be used."""


class WebhookUnavailable(DetectError):
    """A webhook that cannot be reached, or whose server fails: trying later may help."""


class WebhookRefused(DetectError):
    """A webhook whose server does not want what is sent."""
