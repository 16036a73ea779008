"""TLS to a broker on another machine: its certificate and its name are always verified."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

from production_server.settings import Settings


def tls_options(settings: Settings) -> dict[str, object] | None:
    """The options of py-amqp; None for a broker on this machine, without TLS."""
    url = urlsplit(settings.broker_url)
    if url.scheme != "amqps":
        return None
    return {
        # Without a file, the certificate authorities that this machine trusts.
        "ca_certs": str(settings.broker_ca) if settings.broker_ca else None,
        "cert_reqs": ssl.CERT_REQUIRED,
        # Without it, py-amqp would accept a certificate of any name.
        "server_hostname": settings.broker_name or url.hostname,
        "tls_minimum_version": ssl.TLSVersion.TLSv1_2,
    }
