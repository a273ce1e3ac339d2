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

from harness.fakestore import FakeStore  # noqa: E402
from harness.life import OPEN  # noqa: E402
from harness.rules import RULES  # noqa: E402
from harness.sealgate import Sealgate  # noqa: E402
from harness.stores import STORES  # noqa: E402
from harness.wire import Wire  # noqa: E402


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
            running[name] = Sealgate(scratch / f"open-{name}", stores(name).endpoint, [{"bucket": "*"}]).start()
        return running[name]

    yield start
    for proxy in running.values():
        proxy.stop()


@pytest.fixture(scope="session")
def _fake():
    store = FakeStore()
    yield store
    store.stop()


@pytest.fixture
def fake(_fake) -> FakeStore:
    """The scriptable store, honest again and with nothing seen."""
    _fake.reset()
    return _fake


@pytest.fixture(scope="session")
def _gate(scratch, _fake):
    with Sealgate(scratch / "gate", _fake.endpoint, RULES, base_domains=["s3.example.test"]) as proxy:
        yield proxy


@pytest.fixture
def gate(_gate, fake) -> Sealgate:
    """Sealgate in front of the scriptable store, with a rule for each habit (`harness/rules.py`)."""
    assert _gate.process.alive(), _gate.process.output()[-4000:]
    return _gate


@pytest.fixture(scope="session")
def gates(scratch, _fake):
    """Further proxies in front of the scriptable store, by a name and what differs; each started once."""
    running = {}

    def start(name: str, **more):
        if name not in running:
            running[name] = Sealgate(scratch / f"gate-{name}", _fake.endpoint, more.pop("rules", RULES), **more).start()
        return running[name]

    yield start
    for proxy in running.values():
        proxy.stop()


@pytest.fixture
def wire(gate):
    with Wire(gate.address) as connection:
        yield connection


@pytest.fixture
def own(scratch, fake, request):
    """Sealgate of this test's own, with nothing demanded."""
    folder = scratch / request.node.name.replace("[", "-").replace("]", "")
    started = []

    def start(**more):
        proxy = Sealgate(folder, fake.endpoint, more.pop("rules", OPEN), **more)
        started.append(proxy)
        return proxy.start()

    yield start
    for proxy in started:
        proxy.stop()
