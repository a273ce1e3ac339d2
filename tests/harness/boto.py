"""boto3 with every call recorded: result, status, headers, how often it had to try."""

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from . import compare


def client(endpoint: str, store, **config):
    """An S3 client that tries once and signs for `endpoint`."""
    settings = {
        "s3": {"addressing_style": "path"},
        "retries": {"total_max_attempts": 1},
        "signature_version": "s3v4",
        "read_timeout": 60,
        **config,
    }
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=store.region,
        aws_access_key_id=store.access_key,
        aws_secret_access_key=store.secret_key,
        config=Config(**settings),
    )


class Recorder:
    """Runs calls against one endpoint and one bucket and keeps what came back, ready to compare."""

    def __init__(self, endpoint: str, store, bucket: str, **config):
        self.endpoint = endpoint
        self.store = store
        self.config = config
        self.reconnect()
        self.bucket = bucket
        self.names = {bucket: "{bucket}", endpoint.removeprefix("http://"): "{address}"}
        self.steps: list[tuple[str, object]] = []

    def reconnect(self):
        self.s3 = client(self.endpoint, self.store, **self.config)

    def note(self, label: str, value):
        self.steps.append((label, value))

    def _call(self, operation: str, params: dict):
        for left in (2, 1, 0):
            try:
                return getattr(self.s3, operation)(**params)
            except ConnectionClosedError:
                # Garage drops some connections after what it does not implement, asked directly as well.
                if self.store.name != "garage" or "tagging" not in operation or not left:
                    raise

    def call(self, operation: str, label: str = "", **params):
        """Calls an operation on the bucket; returns the SDK's answer, errors too."""
        params.setdefault("Bucket", self.bucket)
        if params["Bucket"] is None:
            del params["Bucket"]
        try:
            answer = self._call(operation, params)
        except ClientError as failed:
            answer = failed.response
        record = dict(answer)
        if "Body" in record:
            record["Body"] = answer["Body"].read()
            answer["Body"] = record["Body"]
        if "Payload" in record:
            record["Payload"] = list(record["Payload"])
        meta = answer["ResponseMetadata"]
        sent = meta.get("HTTPHeaders", {})
        xml = "xml" in sent.get("content-type", "") and "Body" not in record
        self.note(
            f"{operation} {label}".strip(),
            {
                "status": meta["HTTPStatusCode"],
                "tries": meta.get("RetryAttempts", 0),
                "headers": compare.headers(sent.items(), self.names, xml),
                "result": compare.result(record, self.names),
            },
        )
        return answer
