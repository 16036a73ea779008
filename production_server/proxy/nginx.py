"""The configuration of nginx."""

from __future__ import annotations

import os
from importlib.resources import files

import jinja2

from production_server.proxy.acme import CHALLENGES
from production_server.proxy.certificates import Certificate
from production_server.settings import ACME, Settings
from production_server.web.guard import HttpLimits

AUTHORITY_PATH = "/stackserve-authority.pem"
HTTPS_PORT = 443
# Of one address. A class behind one address, in which each browser opens six, still fits.
CONNECTIONS = 500
PROGRAM = "/usr/sbin/nginx"


def configuration(
    settings: Settings, certificate: Certificate, named: Certificate | None = None
) -> str:
    """nginx.conf for these settings; `named` is for clients that ask for the domain by its name."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, autoescape=False
    )
    template = files(__package__).joinpath("nginx.conf.j2").read_text("utf-8")
    port, redirect = settings.tls_port, settings.tls_redirect_port
    return environment.from_string(template).render(
        authority=certificate.authority and certificate.authority.read_text("ascii"),
        authority_path=AUTHORITY_PATH,
        certificate=certificate.certificate,
        key=certificate.key,
        named=named,
        domain=settings.tls_domain,
        processes=os.cpu_count() or 1,
        limits=HttpLimits(),
        connections=CONNECTIONS,
        web_port=settings.port,
        listen=_address(settings.tls_host, port),
        redirect=redirect and _address(settings.tls_host, redirect),
        as_root=os.geteuid() == 0,
        challenges=settings.tls == ACME and str(settings.tls_folder / CHALLENGES),
        challenge=_address(settings.tls_host, settings.tls_challenge_port),
        suffix="" if port == HTTPS_PORT else f":{port}",
    )


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
