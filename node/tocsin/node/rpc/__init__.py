"""The node on the wire: who may call what, servicers without logic, errors to statuses, the way to other nodes."""

import tocsin.wire  # noqa: F401 - sets what grpc reads, before a module of this package imports it
