"""S3 on loopback, for the tests of what reads and writes there."""

import boto3
import pytest
from moto.server import ThreadedMotoServer

BUCKET = "shelfcast"


@pytest.fixture
def bucket(monkeypatch):
    """An empty bucket of a server that this process and its children take for S3."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    given = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    for name, value in {**given, "AWS_DEFAULT_REGION": "us-east-1", "NO_PROXY": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    made = boto3.resource("s3").Bucket(BUCKET)
    made.create()
    yield made
    made.objects.delete()
    server.stop()
