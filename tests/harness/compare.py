"""What two runs of the same calls must have in common, and what may differ between any two runs."""

import datetime
import re

#: Headers that belong to one connection or one moment.
PASSING = {
    "date", "connection", "keep-alive", "transfer-encoding", "x-amz-request-id", "x-amz-id-2", "x-ratelimit-remaining",
}
#: Headers whose presence must be the same, not their value.
MOMENT = {"last-modified", "x-amz-version-id", "x-amz-copy-source-version-id", "x-amz-abort-date"}
#: Result fields of the same kind.
MOMENT_FIELDS = {
    "VersionId", "UploadId", "NextContinuationToken", "ContinuationToken", "RequestId", "HostId", "VersionIdMarker",
    "NextVersionIdMarker", "UploadIdMarker", "NextUploadIdMarker", "CopySourceVersionId", "DeleteMarkerVersionId",
}


def headers(pairs, names: dict[str, str], xml: bool = False) -> dict:
    """Response headers as they compare: lower-case names, values with this run's names taken out."""
    out: dict = {}
    for name, value in pairs:
        name = name.lower()
        if name in PASSING or (xml and name == "content-length"):
            continue
        out.setdefault(name, []).append("?" if name in MOMENT else plain(value, names))
    return {name: sorted(values) for name, values in out.items()}


def plain(text: str, names: dict[str, str]) -> str:
    """A text with this run's bucket and address replaced by their roles."""
    for name, role in names.items():
        text = text.replace(name, role)
    return text


_XML_MOMENT = re.compile(
    r"<(RequestId|HostId|VersionId|UploadId|LastModified|Initiated|NextContinuationToken|NextUploadIdMarker"
    r"|NextVersionIdMarker|CreationDate|ServerTime|RequestTime|StringToSign|StringToSignBytes|SignatureProvided"
    r"|CanonicalRequest|CanonicalRequestBytes)>[^<]*</\1>"
)


def body(data: bytes, names: dict[str, str]) -> str:
    """A body as it compares; what changes from one moment to the next is blanked in XML."""
    text = data.decode("utf-8", "backslashreplace")
    if text.startswith("<?xml") or text.startswith("<"):
        text = _XML_MOMENT.sub(lambda m: f"<{m[1]}>?</{m[1]}>", text)
        text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)
    return plain(text, names)


def result(value, names: dict[str, str]):
    """A parsed answer of an SDK as it compares."""
    if isinstance(value, dict):
        return {
            key: "?" if key in MOMENT_FIELDS and item else result(item, names)
            for key, item in value.items()
            if key not in ("ResponseMetadata",)
        }
    if isinstance(value, (list, tuple)):
        items = [result(item, names) for item in value]
        # Tags are a set: versitygw answers them in another order each time.
        tags = items and all(isinstance(i, dict) and i.keys() == {"Key", "Value"} for i in items)
        # Parts come in the folder's order from the embedded store.
        parts = items and all(isinstance(i, dict) and "PartNumber" in i for i in items)
        return sorted(items, key=str) if tags or parts else items
    if isinstance(value, datetime.datetime):
        return "TIME"
    if isinstance(value, bytes):
        return body(value, names)
    if isinstance(value, str):
        return plain(value, names)
    return value


def differences(direct: list, through: list) -> list[str]:
    """Where two recordings differ, in words."""
    out = []
    for (label, one), (other_label, other) in zip(direct, through, strict=False):
        if label != other_label:
            out.append(f"order: {label} / {other_label}")
        elif one != other:
            out.append(f"{label}:\n  directly: {_only(one, other)}\n  through:  {_only(other, one)}")
    if len(direct) != len(through):
        out.append(f"{len(direct)} steps directly, {len(through)} through")
    return out


def _only(one, other):
    if isinstance(one, dict) and isinstance(other, dict):
        return {k: _only(v, other.get(k)) for k, v in one.items() if other.get(k, ...) != v} or "(less)"
    return one
