"""Issues a throwaway TLS certificate, because the Gemini SDK refuses to speak without TLS."""

import ssl
from collections.abc import Sequence
from pathlib import Path

from ..errors import MissingExtra


def issue(directory: Path, hosts: Sequence[str]) -> tuple[ssl.SSLContext, Path]:
    """Make an authority and, signed by it, a certificate for `hosts`.

    Args:
        directory: Where the authority's certificate is written, as `ca.pem`. Private keys are
            kept in memory (and, while the context loads them, in the system's temporary folder).
        hosts: Names and IP addresses that the certificate is valid for.

    Returns:
        A context for a server, and the path for a client's `SSL_CERT_FILE` or `cafile`.

    Raises:
        MissingExtra: If the package `trustme` is not installed.
    """
    try:
        import trustme
    except ImportError as error:
        raise MissingExtra("A TLS certificate for the Gemini SDK", "cli", "trustme") from error
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*hosts).configure_cert(context)
    path = directory / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return context, path
