"""Wires over TLS."""

import ssl
from pathlib import Path

from .wire import Wire


def secure(address: str, ca: Path, name: str | None = "localhost", client: tuple[Path, Path] | None = None,
           before: bytes = b"", check: bool = True, **options) -> Wire:
    """A connection over TLS. `before` is sent in the clear first; `options` are attributes of the context."""
    context = ssl.create_default_context(cafile=ca)
    context.check_hostname = check and name is not None
    if client:
        context.load_cert_chain(*client)
    for key, value in options.items():
        setattr(context, key, value)
    wire = Wire(address)
    try:
        if before:
            wire.send(before)
        wire.socket = context.wrap_socket(wire.socket, server_hostname=name)
    except BaseException:
        wire.close()
        raise
    return wire


def only(version: ssl.TLSVersion) -> dict:
    """Options for one version of TLS."""
    return {"minimum_version": version, "maximum_version": version}
