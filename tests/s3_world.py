"""S3 on loopback, for the tests of what reads and writes there."""

from contextlib import contextmanager

import boto3
import pytest
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem

from shelfcast import storage

BUCKET = "shelfcast"


@contextmanager
def empty_bucket():
    """An empty bucket of a server that this process and its children take for S3."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    given = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {**given, "AWS_DEFAULT_REGION": "us-east-1", "NO_PROXY": "127.0.0.1"}.items():
            environment.setenv(name, value)
        S3FileSystem.clear_instance_cache()  # those of another test know another server
        made = boto3.resource("s3").Bucket(BUCKET)
        made.create()
        yield made
        made.objects.delete()
    server.stop()


@pytest.fixture
def bucket():
    """An empty bucket for one test."""
    with empty_bucket() as made:
        yield made


@pytest.fixture(params=["disk", "bucket"])
def root(request, tmp_path):
    """A location to read and write at, on a disk and in a bucket."""
    if request.param == "disk":
        return storage.location(str(tmp_path))
    request.getfixturevalue("bucket")
    return storage.location(f"s3://{BUCKET}/artifacts")
