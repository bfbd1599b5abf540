"""A CA of the tests' own, whose key nobody has any more, and what it signed for this machine; for a hundred years.

Made by openssl: a CA on P-256, and a server's certificate for localhost and 127.0.0.1.
"""

import ssl
from pathlib import Path

HERE = Path(__file__).parent
CA, CERTIFICATE, KEY = HERE / "ca.pem", HERE / "server.pem", HERE / "server.key"
ENCRYPTED_KEY = HERE / "encrypted.key"  # the same, behind a pass phrase


def server_context() -> ssl.SSLContext:
    """For a server on this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    return context
