"""RabbitMQ's certificate and its authority, made on the server for worker VMs.

The authority's key is in memory only, and only while it signs: afterwards nobody can sign another
certificate. The certificate's name is not the server's address, which may change.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from private import write

TLS = Path("/etc/rabbitmq/tls")
AUTHORITY = TLS / "authority.pem"
CERTIFICATE = TLS / "broker.pem"
KEY = TLS / "broker.key"
NAME = "stackserve-broker"
IN_MEMORY = Path("/run")
DAYS = "7300"
CONFIGURATION = f"""\
[req]
distinguished_name = name
prompt = no
[name]
CN = ${{ENV::CN}}
[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[broker]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:{NAME}
authorityKeyIdentifier = keyid
"""


def make_certificates() -> None:
    """Make them unless they exist. The key is written last, so it is there once all of them are."""
    if KEY.exists():
        return
    TLS.mkdir(exist_ok=True)
    TLS.chmod(0o755)  # whatever the umask is
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as name:
        folder = Path(name)
        sign(folder, "authority", "Stackserve authority")
        by_authority = ("-CA", "authority.pem", "-CAkey", "authority.key")
        sign(folder, "broker", NAME, *by_authority)
        write(AUTHORITY, (folder / "authority.pem").read_text(), "root", mode=0o644)
        write(CERTIFICATE, (folder / "broker.pem").read_text(), "root", mode=0o644)
        write(KEY, (folder / "broker.key").read_text(), "rabbitmq", "rabbitmq", 0o400)


def sign(folder: Path, what: str, name: str, *by: str) -> None:
    """Make a key and its certificate, signed by itself or by the authority."""
    (folder / "configuration").write_text(CONFIGURATION)
    command = ["openssl", "req", "-x509", "-config", "configuration", "-extensions", what, *by]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", DAYS]
    files = ["-keyout", f"{what}.key", "-out", f"{what}.pem"]
    subprocess.run(
        [*command, *key, *files],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "CN": name},
        check=True,
        stdin=subprocess.DEVNULL,
    )
