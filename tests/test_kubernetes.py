"""deploy/kubernetes: what Kustomize builds is valid, holds together, keeps its promises, and its configurations run."""

import contextlib
import http.client
import shutil
import ssl
import subprocess

import kubernetes_validate
import pytest
import yaml

from harness import manifests
from harness.commands import run
from harness.fakestore import FakeStore
from harness.manifests import build, one, pod, sealgate_of
from harness.process import Process, free_port, listening
from harness.tools import ROOT, sealgate, tool

OVERLAYS = ["overlays/gateway", "overlays/sidecar"]
#: the oldest one that README.md names, and the newest that is known
VERSIONS = ["1.30", kubernetes_validate.latest_version()]
#: kinds of the Prometheus operator, of which there is no schema here
OPERATOR = {"ServiceMonitor", "PodMonitor", "PrometheusRule"}
DNS = ((("kubernetes.io/metadata.name", "kube-system"),), (("k8s-app", "kube-dns"),), (("TCP", 53), ("UDP", 53)))
STORE = ((("kubernetes.io/metadata.name", "minio"),), (("app", "minio"),), (("TCP", 9000),))
PROMETHEUS = ((("kubernetes.io/metadata.name", "monitoring"),), (("app.kubernetes.io/name", "prometheus"),), (("TCP", 9090),))
SECRETS = {
    "sealgate-tls": lambda: {k: manifests.certificate()[k] for k in ("tls.crt", "tls.key")},
    "sealgate-store": lambda: {"ca.crt": manifests.certificate()["ca.crt"]},
    "sealgate-store-client": manifests.certificate,
}
VALUES = {
    "sealgate-clients/access_key": "AKIAIOSFODNN7EXAMPLE", "sealgate-clients/secret_key": "a secret",
    "sealgate-store-keys/access_key": "AKIAIOSFODNN7EXAMPLE", "sealgate-store-keys/secret_key": "a secret",
    "app-s3/access_key": "AKIAIOSFODNN7EXAMPLE", "app-s3/secret_key": "a secret",
}


def deployment(overlay: str) -> dict:
    return one(build(overlay), "Deployment", "sealgate" if "gateway" in overlay else "app")


def laid_out(overlay: str, root) -> tuple:
    """The configuration in its place, and the environment."""
    path = manifests.lay_out(root, deployment(overlay), build(overlay), {name: make() for name, make in SECRETS.items()})
    return path, manifests.environment(sealgate_of(deployment(overlay)), VALUES)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("folder", [*OVERLAYS, "store"])
def test_valid(folder, version):
    for resource in build(folder):
        if resource["kind"] not in OPERATOR:
            kubernetes_validate.validate(resource, version, strict=True)


def test_everything_is_there():
    kinds = lambda folder: {r["kind"] for r in build(folder)}  # noqa: E731
    assert kinds("overlays/gateway") >= {
        "Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy", "ServiceMonitor", "PrometheusRule", "ConfigMap"}
    assert kinds("overlays/sidecar") >= {"Deployment", "NetworkPolicy", "PodMonitor", "PrometheusRule", "ConfigMap"}
    # No Secret is in the repository, so none can be a default that somebody forgets to change.
    assert not any("Secret" in kinds(folder) for folder in OVERLAYS)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_alerts_are_those_of_prometheus(overlay):
    rules = yaml.safe_load((ROOT / "deploy/prometheus/rules.yaml").read_text())
    assert one(build(overlay), "PrometheusRule", "sealgate")["spec"] == rules, "base/prometheusrule.yaml differs from deploy/prometheus/rules.yaml"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_configuration_loads(overlay, tmp_path):
    path, env = laid_out(overlay, tmp_path)
    assert run([sealgate(), "check", "--config", path], env).ok()
    # Nothing stands in for a variable that is not set.
    name = "APP_ACCESS_KEY"
    done = run([sealgate(), "check", "--config", path], {k: v for k, v in env.items() if k != name})
    assert done.code == 1 and name in done.err


@contextlib.contextmanager
def running(overlay: str, root, store: str | None = None):
    """Sealgate with the Pod's files, environment and arguments, and the ports that it has here: those of the Pod may be taken."""
    path, env = laid_out(overlay, root)
    config = yaml.safe_load(path.read_text())
    ports = {"s3": free_port(), "admin": free_port()}
    config["listen"][0]["address"] = f"127.0.0.1:{ports['s3']}"
    config["admin"]["address"] = f"127.0.0.1:{ports['admin']}"
    config["store"]["endpoint"] = store or config["store"]["endpoint"]
    manifests.write_volume(path.parent, {path.name: yaml.safe_dump(config).encode()})
    process = Process("sealgate", [sealgate(), *sealgate_of(deployment(overlay))["args"][:-1], path], root / "log", env)
    try:
        process.wait_ready(lambda: listening(ports["s3"]) and listening(ports["admin"]))
        yield config, ports
    finally:
        process.stop(15)


def ask(port: int, method: str, path: str, body: bytes | None = None, trust: ssl.SSLContext | None = None, **headers: str) -> tuple[int, bytes]:
    """Status and body."""
    if trust:
        link = http.client.HTTPSConnection("localhost", port, timeout=5, context=trust)
    else:
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(link):
        link.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = link.getresponse()
        return answer.status, answer.read()


def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cadata=manifests.certificate()["ca.crt"].decode())


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_configuration_runs(overlay, tmp_path):
    with running(overlay, tmp_path) as (config, ports):
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert ask(ports["admin"], "GET", sealgate_of(deployment(overlay))[kind]["httpGet"]["path"])[0] == 200, kind
        trust = trusting() if "tls" in config["listen"][0] else None
        status, text = ask(ports["s3"], "PUT", "/bucket/key", b"plain", trust)
        assert status == 403 and b"AccessDenied" in text


class Terminator(FakeStore):
    """A store that takes connections with the sidecar's certificate alone."""

    def __init__(self, folder):
        super().__init__()
        for name, content in manifests.certificate().items():
            (folder / name).write_bytes(content)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
        self._context.load_verify_locations(folder / "ca.crt")
        self._context.verify_mode = ssl.CERT_REQUIRED

    def _serve(self, link):
        try:
            link.socket = self._context.wrap_socket(link.socket, server_side=True)
        except OSError:
            link.socket.close()
            return
        super()._serve(link)


def test_the_sidecars_certificate_closes_the_way_around(tmp_path):
    """What README.md says of a store that wants a client certificate: the sidecar gets in, the app does not."""
    (tmp_path / "store").mkdir()
    store = Terminator(tmp_path / "store")
    try:
        with running("overlays/sidecar", tmp_path / "pod", f"https://localhost:{store.port}") as (_, ports):
            assert ask(ports["s3"], "PUT", "/bucket/key", b"sealed", x_amz_server_side_encryption="AES256")[0] == 200
            assert store.last().body == b"sealed"
            with pytest.raises(OSError):
                ask(store.port, "PUT", "/bucket/key", b"around", trusting())
            assert len(store.seen) == 1
    finally:
        store.stop()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_container_is_locked_down(overlay):
    spec, container = pod(deployment(overlay)), sealgate_of(deployment(overlay))
    both = {**spec.get("securityContext", {}), **container["securityContext"]}
    assert both["runAsNonRoot"] is True and both["runAsUser"] == 65532
    assert both["readOnlyRootFilesystem"] is True and both["allowPrivilegeEscalation"] is False
    assert both["capabilities"] == {"drop": ["ALL"]} and both["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False and spec["enableServiceLinks"] is False
    assert all(mount["readOnly"] for mount in container["volumeMounts"])
    assert "memory" in container["resources"]["limits"] and {"cpu", "memory"} <= container["resources"]["requests"].keys()
    namespace = next(r for r in build(overlay) if r["kind"] == "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    version = yaml.safe_load(next(line for line in (ROOT / "Cargo.toml").read_text().splitlines() if line.startswith("version")).replace("=", ":"))
    assert container["image"] == f"sealgate:{version['version']}"


#: MiB as measured (README.md, Sizes): idle, all bodies held whole, a connection, a request under way whose other side stands still;
#: of HTTP/1 and HTTP/2 whichever is more
IDLE, HELD, CONNECTION, REQUEST = 20, 64, 0.05, 0.15
#: the most of an HTTP/2 stream by its windows (docs/configuration.md): 256 KiB on the way in, 192 KiB else
STREAM = (256 + 192) / 1024


def settings(overlay: str) -> dict:
    return yaml.safe_load(one(build(overlay), "ConfigMap", "sealgate-config")["data"]["sealgate.yaml"])


def mebibytes(text: str) -> int:
    number = text.removesuffix("Mi").removesuffix("MiB")
    assert text != number
    return int(number)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_memory_is_enough_for_what_the_limits_allow(overlay):
    limits, resources = settings(overlay)["limits"], sealgate_of(deployment(overlay))["resources"]
    limit, asked = (mebibytes(resources[kind]["memory"]) for kind in ("limits", "requests"))
    steady = IDLE + HELD + CONNECTION * limits["connections"]
    worst = steady + REQUEST * limits["requests"]
    assert worst <= 0.75 * limit, f"{worst} MiB of {limit}"
    assert steady + STREAM * limits["requests"] < limit, "a client that fills its windows ends the Pod"
    # Answers that are held until they are confirmed, if a store sends the longest: that many at a time.
    assert (limit - worst) / mebibytes(limits["xml_bytes"]) > 32
    assert IDLE < asked <= limit
    # One client cannot take all of a gateway; the sidecar has one.
    whole = "gateway" not in overlay
    for name in ("connections", "requests"):
        assert (limits[f"{name}_per_source"] == limits[name]) is whole and limits[f"{name}_per_source"] <= limits[name]
    assert limits["requests"] <= limits["connections"]
    # The text says the same.
    text = (manifests.KUBERNETES / "README.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith(f"| {'sidecar' if whole else 'gateway'} | ") and "MiB |" in line)
    assert f"| {limits['connections']:,}, {limits['requests']:,} |" in row and f"= {round(worst)} MiB | {limit}Mi | {asked}Mi:" in row
    source = "sidecar.yaml" if whole else "deployment.yaml"
    assert f"= {round(worst)} MiB" in (manifests.KUBERNETES / overlay / source).read_text()


def test_pool_of_held_bodies_is_the_one_computed_with():
    assert f"HELD_BYTES: usize = {HELD} << 20;" in (ROOT / "src/gate/held.rs").read_text()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_image_can_be_ones_own(overlay, tmp_path):
    """`kustomize edit set image`, as README.md has it, reaches the container, init container or not; the Pod goes where the image runs."""
    shutil.copytree(manifests.KUBERNETES, tmp_path / "kubernetes")
    folder = tmp_path / "kubernetes" / overlay
    subprocess.run([tool("kustomize"), "edit", "set", "image", "sealgate=team/sealgate:0.1.0"], cwd=folder, check=True, timeout=60)
    built = list(yaml.safe_load_all(run([tool("kustomize"), "build", folder]).ok().out))
    workload = one(built, "Deployment", "sealgate" if "gateway" in overlay else "app")
    assert sealgate_of(workload)["image"] == "team/sealgate:0.1.0"
    target = next(line for line in (ROOT / "deploy/docker/Dockerfile").read_text().splitlines() if line.startswith("RUN rustup target add"))
    assert ("x86_64" in target) and pod(workload)["nodeSelector"] == {"kubernetes.io/arch": "amd64"}


def test_names_elsewhere_are_told():
    text = (manifests.KUBERNETES / "README.md").read_text()
    assert "169.254.20.10/32" in text and "5353" in text and "sealgate-sidecar=true" in text


def seconds(text: str) -> int:
    assert text.endswith("s")
    return int(text[:-1])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_end_has_time(overlay):
    spec, container = pod(deployment(overlay)), sealgate_of(deployment(overlay))
    drain = seconds(yaml.safe_load(one(build(overlay), "ConfigMap", "sealgate-config")["data"]["sealgate.yaml"])["shutdown"]["drain"])
    before = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    assert ("gateway" not in overlay) or before > 0, "connections would come to a Pod that has stopped listening"
    assert spec["terminationGracePeriodSeconds"] > before + drain


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_ports_are_those_of_the_configuration(overlay):
    container = sealgate_of(deployment(overlay))
    config = yaml.safe_load(one(build(overlay), "ConfigMap", "sealgate-config")["data"]["sealgate.yaml"])
    port = lambda place: int(place["address"].rpartition(":")[2])  # noqa: E731
    named = {p["name"]: p["containerPort"] for p in container["ports"]}
    assert named["admin"] == port(config["admin"])
    assert all(container[kind]["httpGet"]["port"] == "admin" for kind in ("startupProbe", "readinessProbe", "livenessProbe"))
    if "gateway" in overlay:
        assert named["s3"] == port(config["listen"][0])
        services = [r for r in build(overlay) if r["kind"] == "Service"]
        assert {p["targetPort"] for s in services for p in s["spec"]["ports"]} == named.keys()
    else:
        assert config["listen"][0]["address"].startswith("127.0.0.1:"), "only the Pod itself"
        app = next(c for c in pod(deployment(overlay))["containers"] if c["name"] == "app")
        env = {e["name"]: e.get("value") for e in app["env"]}
        assert env["AWS_ENDPOINT_URL_S3"] == f"http://127.0.0.1:{port(config['listen'][0])}"
        assert env["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] == "false"


def test_gateway_selectors_meet():
    resources = build("overlays/gateway")
    workload = deployment("overlays/gateway")
    labels = workload["spec"]["template"]["metadata"]["labels"]
    assert manifests.matches(workload["spec"]["selector"], labels)
    for service in (r for r in resources if r["kind"] == "Service"):
        assert manifests.matches({"matchLabels": service["spec"]["selector"]}, labels)
    assert manifests.matches(one(resources, "PodDisruptionBudget", "sealgate")["spec"]["selector"], labels)
    assert "replicas" not in workload["spec"], "the autoscaler sets them"
    scaler = one(resources, "HorizontalPodAutoscaler", "sealgate")["spec"]
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "sealgate"}
    assert scaler["minReplicas"] >= 2
    spread = pod(workload)["topologySpreadConstraints"]
    assert {s["topologyKey"] for s in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    assert all(manifests.matches(s["labelSelector"], labels) for s in spread)
    monitor = one(resources, "ServiceMonitor", "sealgate")["spec"]
    watched = [r for r in resources if r["kind"] == "Service" and manifests.matches(monitor["selector"], r["metadata"]["labels"])]
    assert [p["name"] for s in watched for p in s["spec"]["ports"]] == [e["port"] for e in monitor["endpoints"]]


@pytest.mark.parametrize("overlay,kind,field", [(OVERLAYS[0], "ServiceMonitor", "endpoints"), (OVERLAYS[1], "PodMonitor", "podMetricsEndpoints")])
def test_monitors(overlay, kind, field):
    monitor = next(r for r in build(overlay) if r["kind"] == kind)
    assert monitor["apiVersion"] == "monitoring.coreos.com/v1" and monitor["spec"].keys() == {"selector", field}
    (endpoint,) = monitor["spec"][field]
    assert endpoint["path"] == "/metrics" and endpoint.keys() <= {"port", "path", "interval", "relabelings"}
    # Alerts and board ask for this job.
    assert endpoint["relabelings"] == [{"action": "replace", "targetLabel": "job", "replacement": "sealgate"}]
    if kind == "PodMonitor":
        assert manifests.matches(monitor["spec"]["selector"], deployment(overlay)["spec"]["template"]["metadata"]["labels"])
        assert endpoint["port"] in {p["name"] for p in sealgate_of(deployment(overlay))["ports"]}


def test_sidecar_is_native():
    spec = pod(deployment("overlays/sidecar"))
    (first, *_) = spec["initContainers"]
    assert first["name"] == "sealgate" and first["restartPolicy"] == "Always", "the app starts after it and ends before it"
    assert "sealgate" not in {c["name"] for c in spec["containers"]}
    assert spec["shareProcessNamespace"] is False


def test_no_way_around_the_sidecar():
    """The network lets the Pod reach names and the store; the store's certificate and nothing else of it is the sidecar's alone."""
    resources = build("overlays/sidecar")
    workload = deployment("overlays/sidecar")
    labels = workload["spec"]["template"]["metadata"]["labels"]
    assert manifests.openings(resources, labels, "egress") == sorted([DNS, STORE])
    assert manifests.openings(resources, labels, "ingress") == [PROMETHEUS]
    config = yaml.safe_load(one(resources, "ConfigMap", "sealgate-config")["data"]["sealgate.yaml"])
    assert config["store"]["endpoint"].startswith("https://") and {"cert", "key"} <= config["store"]["tls"].keys()
    volumes = {v["name"]: v for v in pod(workload)["volumes"]}
    for container in pod(workload)["containers"]:
        mounted = [volumes[m["name"]] for m in container.get("volumeMounts", [])]
        assert not any("sealgate-store-client" in str(volume) for volume in mounted)
        assert "sealgate-store-client" not in str(container.get("env")) + str(container.get("envFrom"))


def test_no_way_around_the_gateway():
    resources = build("overlays/gateway")
    labels = deployment("overlays/gateway")["spec"]["template"]["metadata"]["labels"]
    assert manifests.openings(resources, labels, "egress") == sorted([DNS, STORE])
    clients = ((("sealgate-client", "true"),), (), (("TCP", 8443),))
    assert manifests.openings(resources, labels, "ingress") == sorted([PROMETHEUS, clients])


def namespace(overlay: str) -> dict:
    """The labels of the overlay's namespace, with the one that Kubernetes gives itself."""
    metadata = next(r for r in build(overlay) if r["kind"] == "Namespace")["metadata"]
    return {**metadata["labels"], "kubernetes.io/metadata.name": metadata["name"]}


def test_the_store_lets_in_sealgate_alone():
    port = (("TCP", 9000),)
    by_name = lambda name: (("kubernetes.io/metadata.name", name),)  # noqa: E731
    opened = manifests.openings(build("store"), {"app": "minio"}, "ingress")
    assert opened == sorted([
        (by_name("sealgate"), (("sealgate", "gateway"),), port),
        ((("sealgate-sidecar", "true"),), (("sealgate", "sidecar"),), port),
        (by_name("minio"), (("app", "minio"),), port),
    ])
    # Sealgate's own Pods get in where the overlays put them.
    reaches = lambda around, own: any(  # noqa: E731
        dict(spaces).items() <= around.items() and dict(pods).items() <= own.items() for spaces, pods, _ in opened)
    for overlay in OVERLAYS:
        own = deployment(overlay)["spec"]["template"]["metadata"]["labels"]
        assert reaches(namespace(overlay), own), overlay
    # Whoever uses the gateway sets what labels they like on their Pods, all of them at once: their namespace is none of those.
    client = dict(next(spaces for spaces, _, ports in manifests.openings(
        build("overlays/gateway"), {"sealgate": "gateway"}, "ingress") if ports == (("TCP", 8443),)))
    client["kubernetes.io/metadata.name"] = "my-app"
    assert not any(dict(spaces).items() <= client.items() for spaces, _, _ in opened)
    # And a namespace for sidecars is not a client of the gateway by the way.
    assert not client.keys() & namespace("overlays/sidecar").keys() - {"kubernetes.io/metadata.name"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_configuration_is_a_folder_with_a_name_that_stays(overlay):
    """A change must reach running Pods: no hash in the name, no subPath, and the name that the volume asks for."""
    volume = next(v for v in pod(deployment(overlay))["volumes"] if "configMap" in v)
    assert volume["configMap"]["name"] == "sealgate-config"
    assert one(build(overlay), "ConfigMap", "sealgate-config")
    assert not any("subPath" in m for m in sealgate_of(deployment(overlay))["volumeMounts"])
