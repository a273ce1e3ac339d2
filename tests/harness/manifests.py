"""Kubernetes manifests as Kustomize builds them, and a Pod's files laid out as its container would see them."""

import datetime
import subprocess
from functools import cache
from pathlib import Path

import yaml

from .commands import run
from .tools import ROOT, tool

KUBERNETES = ROOT / "deploy" / "kubernetes"


@cache
def build(folder: str) -> list[dict]:
    """The resources of a Kustomize folder below deploy/kubernetes."""
    return list(yaml.safe_load_all(run([tool("kustomize"), "build", KUBERNETES / folder]).ok().out))


def one(resources: list[dict], kind: str, name: str) -> dict:
    found = [r for r in resources if r["kind"] == kind and r["metadata"]["name"] == name]
    assert len(found) == 1, f"{kind} {name}: {len(found)} of {[(r['kind'], r['metadata']['name']) for r in resources]}"
    return found[0]


def pod(deployment: dict) -> dict:
    return deployment["spec"]["template"]["spec"]


def sealgate_of(deployment: dict) -> dict:
    """The container that runs Sealgate, wherever it stands in the Pod."""
    spec = pod(deployment)
    return next(c for c in spec.get("initContainers", []) + spec["containers"] if c["name"] == "sealgate")


def lay_out(root: Path, deployment: dict, resources: list[dict], secrets: dict[str, dict[str, bytes]]) -> Path:
    """Writes what is mounted into the Sealgate container below `root`; the configuration's path as its arguments name it."""
    container = sealgate_of(deployment)
    volumes = {v["name"]: v for v in pod(deployment)["volumes"]}
    for mount in container["volumeMounts"]:
        assert "subPath" not in mount, "a change would never arrive"
        volume = volumes[mount["name"]]
        if "configMap" in volume:
            data = one(resources, "ConfigMap", volume["configMap"]["name"])["data"]
            files = {name: text.encode() for name, text in data.items()}
        else:
            files = secrets[volume["secret"]["secretName"]]
        write_volume(root / mount["mountPath"].lstrip("/"), files)
    words = container["args"]
    return root / words[words.index("--config") + 1].lstrip("/")


def write_volume(folder: Path, files: dict[str, bytes]):
    """As the kubelet writes a ConfigMap or Secret: into a folder with a date, `..data` that leads to it, links that lead there."""
    folder.mkdir(parents=True, exist_ok=True)
    version = folder / datetime.datetime.now().strftime("..%Y_%m_%d_%H_%M_%S.%f")
    version.mkdir()
    for name, content in files.items():
        (version / name).write_bytes(content)
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(f"..data/{name}")
    swap = folder / "..data_tmp"
    swap.symlink_to(version.name)
    swap.rename(folder / "..data")


@cache
def certificate() -> dict[str, bytes]:
    """A self-signed certificate for localhost under the names that kubernetes.io/tls Secrets have."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        key, cert = Path(folder) / "tls.key", Path(folder) / "tls.crt"
        subprocess.run(
            [tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
             "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE",
             "-keyout", key, "-out", cert],
            check=True, capture_output=True, timeout=60)
        return {"tls.crt": cert.read_bytes(), "tls.key": key.read_bytes(), "ca.crt": cert.read_bytes()}


def environment(container: dict, values: dict[str, str]) -> dict[str, str]:
    """The container's variables; those from Secrets by `name/key`."""
    result = {}
    for entry in container.get("env", []):
        if "value" in entry:
            result[entry["name"]] = entry["value"]
        else:
            reference = entry["valueFrom"]["secretKeyRef"]
            assert not reference.get("optional"), "a Pod without its secrets must not start"
            result[entry["name"]] = values[f"{reference['name']}/{reference['key']}"]
    return result


def matches(selector: dict, labels: dict) -> bool:
    """Whether a label selector takes these labels; what it cannot read stops the test."""
    assert selector.keys() <= {"matchLabels", "matchExpressions"}, selector
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In", expression
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return all(labels.get(k) == v for k, v in selector.get("matchLabels", {}).items())


def openings(resources: list[dict], labels: dict, direction: str) -> list[tuple]:
    """What NetworkPolicies open for a Pod with these labels, `ingress` or `egress`: (namespace labels, Pod labels, ports).

    A peer without a namespace is of the policy's own. Fails where no policy closes the direction first, or where an opening names no
    peer or no port.
    """
    policies = [r for r in resources if r["kind"] == "NetworkPolicy" and matches(r["spec"]["podSelector"], labels)]
    assert any(direction.capitalize() in p["spec"]["policyTypes"] for p in policies), f"{direction} is open"
    result = []
    for policy in policies:
        own = {"matchLabels": {"kubernetes.io/metadata.name": policy["metadata"]["namespace"]}}
        for rule in policy["spec"].get(direction) or []:
            peers = rule["to" if direction == "egress" else "from"]
            ports = tuple(sorted((p["protocol"], p["port"]) for p in rule["ports"]))
            assert peers and ports
            for peer in peers:
                assert peer.keys() <= {"namespaceSelector", "podSelector"}, "addresses can be anybody's"
                selectors = peer.get("namespaceSelector", own), peer.get("podSelector", {"matchLabels": {}})
                assert all(s.keys() == {"matchLabels"} for s in selectors), peer
                assert selectors[0]["matchLabels"], "every namespace"
                result.append((*(tuple(sorted(s["matchLabels"].items())) for s in selectors), ports))
    return sorted(result)
