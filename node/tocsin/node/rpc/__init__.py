"""The node on the wire: TLS, who may call what, wire messages to values and back.

grpc reads these two settings from the environment when it is imported, and only then; so they are set here, before any
module of this package can import it. `process` imports this package before anything else that uses grpc.

1. grpc cannot be told a lowest TLS version. Below 1.3 it is offered RSA suites only, which a P-256 leaf cannot use, so
   a 1.2 handshake fails. `authorize` checks the version of every call again, whoever imported grpc first.
2. Its own log goes to standard error beside ours, is no JSON, and grows by a line with every bad connection.
"""

import os

TLS12_SUITES_NO_P256_LEAF_CAN_USE = "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384"

os.environ["GRPC_SSL_CIPHER_SUITES"] = TLS12_SUITES_NO_P256_LEAF_CAN_USE
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
