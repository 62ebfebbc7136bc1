"""A certificate authority that exists for one benchmark, and a certificate for its receivers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

_LIFETIME = timedelta(days=1)


def issue(folder: Path, addresses: Sequence[str]) -> tuple[Path, Path]:
    """Files in `folder`: the authority's certificate, and a chain with its key for `addresses`."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = (
        _built("Benchmark authority", "Benchmark authority", authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(each)) for each in addresses])
    certificate = (
        _built("Benchmark receivers", "Benchmark authority", key)
        .add_extension(names, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    authority_file, receiver_file = folder / "authority.pem", folder / "receiver.pem"
    authority_file.write_bytes(authority.public_bytes(Encoding.PEM))
    receiver_file.write_bytes(
        certificate.public_bytes(Encoding.PEM)
        + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return authority_file, receiver_file


def _built(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LIFETIME)
        .not_valid_after(now + _LIFETIME)
    )


def _name(words: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, words)])
