"""The federation of real node processes that tests run, under the name that they use."""

from tocsin.localnet.federation import Federation, running

__all__ = ["Federation", "running"]
