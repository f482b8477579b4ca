"""What client and node both speak, once: value types, codec, limits, reasons, TLS.

grpc reads the settings below from the environment when it is first imported, and only then. Importing any module of
this package sets them, so whoever uses grpc imports this package first; `tls` and `status` do that for everybody.

1. grpc cannot be given a lowest TLS version. Below 1.3 it is offered RSA suites only, which a P-256 leaf cannot use, so
   a 1.2 handshake fails (M-8.3). The setting is assigned: an environment that already has one does not weaken it.
2. grpc writes to standard error, one line for every bad connection and none of them JSON. It is silent unless the
   environment asks for its log.
"""

import os

TLS12_SUITES_NO_P256_LEAF_CAN_USE = "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384"

os.environ["GRPC_SSL_CIPHER_SUITES"] = TLS12_SUITES_NO_P256_LEAF_CAN_USE
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
