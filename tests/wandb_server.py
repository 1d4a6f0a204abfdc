"""As much of a W&B server as one run and its artifact need, on loopback; keeps all that it is sent.

Nobody can run a W&B server in a test, so it stands for its protocol, not for what a server does with it.
"""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PROJECT = {"id": "P", "name": "forecasts", "entity": {"id": "E", "name": "a-team"}}


class WandbServer(ThreadingHTTPServer):
    """Answers until it is told otherwise.

    Attributes:
        received: (path, headers, body) of every request.
        runs: What was said of each run, by its id.
        history: Rows of each run as they were sent, by its id.
        files: Uploaded bytes by name.
        silent_from: GraphQL operation from which on nothing is answered any more.
        status: Of every answer.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, *, silent_from=None, status=200):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.silent_from, self.status = silent_from, status
        self.received, self.runs, self.history, self.files = [], {}, {}, {}
        self.is_silent, self.is_over = False, threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_):
        self.is_over.set()
        self.shutdown()
        self.server_close()

    def answer(self, operation, asked):
        """What a GraphQL operation gets."""
        answers = {
            "Viewer": lambda: {"viewer": {"id": "U", "entity": "a-team", "username": "me", "email": "", "flags": "{}"}},
            "ServerFeaturesQuery": lambda: {"serverInfo": {"features": []}},
            "RunResumeStatus": lambda: {"model": self._known(asked["name"])},
            "UpsertBucket": lambda: {"upsertBucket": self._upsert(asked)},
            "CreateRunFiles": lambda: {"createRunFiles": self._run_files(asked)},
            "ArtifactType": lambda: {"project": {"artifact": None}},
            "CreateArtifact": lambda: {"createArtifact": {"artifact": {"id": "A", "state": "PENDING"}}},
            "CreateArtifactManifest": lambda: {"createArtifactManifest": {"artifactManifest": self._manifest()}},
            "CreateArtifactFiles": lambda: {"createArtifactFiles": {"files": {"edges": self._artifact_files(asked)}}},
            "CommitArtifact": lambda: {"commitArtifact": {"artifact": {"id": "A", "digest": ""}}},
        }
        return answers[operation]()

    def _known(self, run):
        if run not in self.runs:
            return None
        rows, said = self.history.get(run, []), self.runs[run]
        bucket = {"id": run, "name": run, "displayName": said["displayName"], "config": said["config"], "tags": []}
        counts = {"logLineCount": 0, "eventsLineCount": 0, "historyLineCount": len(rows)}
        tails = {
            "historyTail": json.dumps(rows[-1:]),
            "eventsTail": "[]",
            "summaryMetrics": rows[-1] if rows else "{}",
            "wandbConfig": '{"t": 1}',
        }
        return {**PROJECT, "bucket": {**bucket, **counts, **tails}}

    def _upsert(self, asked):
        is_inserted = asked["name"] not in self.runs
        self.runs.setdefault(asked["name"], {}).update({name: value for name, value in asked.items() if value})
        return {"bucket": {"id": "B", "name": asked["name"], "project": PROJECT}, "inserted": is_inserted}

    def _run_files(self, asked):
        files = [{"name": name, **self._upload(name)} for name in asked["files"]]
        return {"runID": "B", "uploadHeaders": [], "files": files}

    def _manifest(self):
        return {"id": "M", "file": {"id": "F", **self._upload("manifest.json")}}

    def _artifact_files(self, asked):
        names = [file["name"] for file in asked["input"]["artifactFiles"]]
        return [{"node": {"storagePath": name, "artifact": {"id": "A"}, **self._upload(name)}} for name in names]

    def _upload(self, name):
        return {"uploadUrl": f"{self.url}/put/{name}", "uploadHeaders": []}


class Handler(BaseHTTPRequestHandler):
    """GraphQL, the stream of a run's rows, and uploads."""

    def do_POST(self):
        asked = json.loads(self._body() or "{}")
        if self.path != "/graphql":
            rows = asked.get("files", {}).get("wandb-history.jsonl", {}).get("content", [])
            self.server.history.setdefault(self.path.split("/")[-2], []).extend(rows)
            return self._send({})
        operation = re.search(r"(?:query|mutation)\s+(\w+)", asked["query"]).group(1)
        self.server.is_silent |= operation == self.server.silent_from
        return self._send({"data": self.server.answer(operation, asked.get("variables"))})

    def do_PUT(self):
        self.server.files[self.path.removeprefix("/put/")] = self._body()
        self._send({})

    def _body(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.received.append((self.path, dict(self.headers), body))
        return body

    def _send(self, value):
        if self.server.is_silent:
            self.server.is_over.wait()
            return
        body = json.dumps(value).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
