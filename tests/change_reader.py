"""Debezium's engine in a process of its own: Java cannot be ended and begun again in ours, and a reader may be killed."""

import json
import os
import subprocess
import sys
import threading

READER = """
import json, sys
from pathlib import Path
from shelfcast.errors import ShelfcastError
from shelfcast.ingestion.change_files import ChangeFolder
from shelfcast_provider.ingestion.debezium_hook import DebeziumHook
for line in sys.stdin:
    order = json.loads(line)
    try:
        hook = DebeziumHook(order.pop("connection_id"))
        hook.get_conn = DebeziumHook(order.pop("opened_with")).get_conn if "opened_with" in order else hook.get_conn
        drained = hook.drain(ChangeFolder(Path(order.pop("landing"))), **order)
        print(json.dumps(vars(drained)), flush=True)
    except ShelfcastError as error:
        print(json.dumps({"error": type(error).__name__, "text": str(error)}), flush=True)
"""
ANSWER_SECONDS = 120


class Reader:
    """Drains in a process of its own when it is told.

    Args:
        stack: Whose shop is read.
        **connections: More connections to it, by id.
    """

    def __init__(self, stack, **connections):
        environment = {**os.environ, **stack.environment(), "AIRFLOW_HOME": os.environ["AIRFLOW_HOME"]}
        more = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(about) for name, about in connections.items()}
        self.process = subprocess.Popen(
            [sys.executable, "-c", READER],
            env=environment | more,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def begin(self, landing, connection_id="shop_database", **order):
        order |= {"landing": str(landing), "connection_id": connection_id}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def drain(self, landing, **order):
        """The drain's outcome; `opened_with` names another connection for all but the engine."""
        self.begin(landing, **order)
        return self.answer()

    def answer(self):
        """The outcome of the drain that was begun."""
        guard = threading.Timer(ANSWER_SECONDS, self.process.kill)
        guard.start()
        try:
            while not (line := self.process.stdout.readline()).startswith("{"):
                assert line, "the reader has ended"
        finally:
            guard.cancel()
        return json.loads(line)

    def kill(self):
        self.process.kill()
        self.process.communicate()
