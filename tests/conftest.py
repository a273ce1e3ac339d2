"""Stores, proxies and clients that the tests share. Each is started once, when the first test asks for it."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

# Nothing of the machine's own settings may reach the clients.
for name in list(os.environ):
    if name.startswith(("AWS_", "RCLONE_", "S3CMD")) or name.lower() in ("http_proxy", "https_proxy", "all_proxy"):
        del os.environ[name]
os.environ.update(
    AWS_EC2_METADATA_DISABLED="true",
    AWS_CONFIG_FILE="/dev/null",
    AWS_SHARED_CREDENTIALS_FILE="/dev/null",
    # An empty body with Expect makes botocore wait in vain on some stores, directly as well.
    BOTO_EXPERIMENTAL__NO_EMPTY_CONTINUE="true",
    NO_PROXY="127.0.0.1",
)

from harness.sealgate import Sealgate  # noqa: E402
from harness.stores import STORES  # noqa: E402


@pytest.fixture(scope="session")
def scratch(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("sealgate")


@pytest.fixture(scope="session")
def stores(scratch):
    """Starts a store by name, once; all are stopped at the end."""
    running = {}

    def start(name: str):
        if name not in running:
            store = STORES[name](scratch)
            running[name] = store
            store.start()
        return running[name]

    yield start
    for store in running.values():
        store.stop()


@pytest.fixture(scope="session")
def open_proxies(scratch, stores):
    """Sealgate in front of a store with nothing demanded, by the store's name."""
    running = {}

    def start(name: str):
        if name not in running:
            # For work on the tests themselves: compare the store with itself.
            if os.environ.get("SEALGATE_TESTS_DIRECT"):
                return stores(name)
            running[name] = Sealgate(scratch / f"open-{name}", stores(name).endpoint, [{"bucket": "*"}]).start()
        return running[name]

    yield start
    for proxy in running.values():
        proxy.stop()
