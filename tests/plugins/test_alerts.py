"""Failure mails from the contexts that Airflow really builds, into a real SMTP server."""

import email
import email.policy
import socket
import uuid
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
import structlog
from aiosmtpd.controller import Controller
from airflow.callbacks.callback_requests import DagCallbackRequest, DagRunContext, TaskCallbackRequest
from airflow.dag_processing.processor import _execute_dag_callbacks, _execute_task_callbacks
from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.api.datamodels._generated import DagRun, TIRunContext
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from jinja2 import UndefinedError

from shelfcast.errors import PostConditionFailed
from shelfcast_provider import failure_causes
from shelfcast_provider.alerts import NO_ERROR_KNOWN, failure_notifier, run_failure_notifier, section

NOW = datetime(2025, 7, 4, 3, 0, tzinfo=UTC)
RUNBOOK = """First line.

### Purpose
To test.

### When it fails
`build` says *nothing to do*: wait.

Two rows & <none>: clear it.
"""


class Sink:
    """Keeps each mail that arrives."""

    def __init__(self):
        self.mails = []

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802
        self.mails.append((envelope.rcpt_tos, email.message_from_bytes(envelope.content, policy=email.policy.default)))
        return "250 kept"


@pytest.fixture
def mails(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sink = Sink()
    controller = Controller(sink, hostname="127.0.0.1", port=port)
    controller.start()
    extra = '{"disable_ssl": true, "disable_tls": true, "ssl_context": "none", "from_email": "a@shop.example"}'
    connection = f'{{"conn_type": "smtp", "host": "127.0.0.1", "port": {port}, "extra": {extra}}}'
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", connection)
    monkeypatch.setenv("SHELFCAST_ALERT_ADDRESS", "oncall@shop.example")
    yield sink.mails
    controller.stop()


class Task(BaseOperator):
    def execute(self, context):
        """Never called here."""


@pytest.fixture
def dag():
    with DAG(
        "feature_views",
        schedule=None,
        start_date=NOW,
        doc_md=RUNBOOK,
        default_args={"on_failure_callback": failure_notifier(), "retries": 2},
        on_failure_callback=run_failure_notifier(),
    ) as made:
        Task(task_id="build")
    return made


def run_of(dag, *, partition_key="2025-07-03", logical_date=None, run_id="asset_triggered__<1>", clear_number=0):
    return DagRun(
        dag_id=dag.dag_id, run_id=run_id, logical_date=logical_date, data_interval_start=logical_date,
        data_interval_end=logical_date, run_after=NOW, start_date=NOW, end_date=None, run_type="asset_triggered",
        state="running", conf={}, consumed_asset_events=[], partition_key=partition_key,
        clear_number=clear_number,
    )  # fmt: skip


def task_context(dag, *, error=None, map_index=-1, task_id="build", **run):
    """What the task runner hands to a callback; `exception` is set by it after the task ended."""
    task_instance = RuntimeTaskInstance.model_construct(
        id=uuid.uuid4(), task_id=task_id, dag_id=dag.dag_id, run_id=run.get("run_id", "asset_triggered__<1>"),
        try_number=3, map_index=map_index, max_tries=2, task=dag.get_task(task_id), start_date=NOW,
        _ti_context_from_server=TIRunContext(dag_run=run_of(dag, **run), max_tries=2),
    )  # fmt: skip
    context = task_instance.get_template_context()
    if error is not None:
        context["exception"] = error
    return context


def only(mails):
    assert len(mails) == 1
    recipients, mail = mails[0]
    return recipients, mail, mail.get_body(preferencelist=("html",)).get_content()


def test_a_failed_task_without_logical_date_sends_one_mail_that_says_what_to_do(dag, mails):
    [notify] = dag.get_task("build").on_failure_callback
    notify(task_context(dag, error=PostConditionFailed("The partition holds <script> & 0 rows.")))
    recipients, mail, body = only(mails)
    assert recipients == ["oncall@shop.example"]
    assert mail["Subject"] == "[shelfcast] feature_views.build failed, 2025-07-03"
    assert "PostConditionFailed: The partition holds &lt;script&gt; &amp; 0 rows." in body
    assert "asset_triggered__&lt;1&gt;" in body
    assert "3 of 3" in body
    assert '/runs/asset_triggered__%3C1%3E/tasks/build?try_number=3"' in body
    assert "<p><code>build</code> says <em>nothing to do</em>: wait.</p>" in body
    assert "Two rows &amp; &lt;none&gt;: clear it." in body
    assert "To test." not in body


@pytest.mark.parametrize("logical_date", [None, NOW])
def test_a_run_without_a_business_date_is_named_by_its_run_id(dag, mails, logical_date):
    run_id = "retraining_request__demand_shift_since_2025-07-01"
    context = task_context(dag, error=ValueError("x"), partition_key=None, logical_date=logical_date, run_id=run_id)
    failure_notifier()(context)
    _, mail, body = only(mails)
    assert str(mail["Subject"]) == f"[shelfcast] feature_views.build failed, {run_id}"
    assert "this run belongs to no date" in body


def test_a_mapped_task_is_named_with_its_index(dag, mails):
    failure_notifier()(task_context(dag, error=ValueError("x"), map_index=4))
    _, mail, body = only(mails)
    assert "feature_views.build[4] failed" in mail["Subject"]
    assert "/mapped/4?try_number=3" in body


def test_one_notifier_serves_two_failures_and_mixes_nothing(dag, mails):
    notify = failure_notifier()
    for key in ("2025-07-03", "2025-07-04"):
        notify(task_context(dag, error=ValueError(key), partition_key=key))
    assert [str(mail["Subject"])[-10:] for _, mail in mails] == ["2025-07-03", "2025-07-04"]
    assert "ValueError: 2025-07-04" in mails[1][1].get_body().get_content()


@pytest.fixture
def xcoms(monkeypatch):
    """What the tasks of a run leave for each other, at the edge of the SDK."""
    kept = {}

    def push(self, key, value):
        kept[self.task_id, key] = value

    def pull(self, task_ids=None, key=None, **_):
        return [kept.get((task_id, key)) for task_id in task_ids]

    monkeypatch.setattr(RuntimeTaskInstance, "xcom_push", push)
    monkeypatch.setattr(RuntimeTaskInstance, "xcom_pull", pull)
    return kept


@pytest.fixture
def two_tasks(dag):
    with dag:
        Task(task_id="publish")
    return dag


def refused(attempt):
    return ConnectionRefusedError(f"Error 111 connecting to 127.0.0.1:{attempt}. Connection refused.")


def test_of_two_tasks_that_fail_of_one_cause_the_first_mails(two_tasks, mails, xcoms, capsys):
    failure_notifier()(task_context(two_tasks, error=refused(6379)))
    failure_notifier()(task_context(two_tasks, task_id="publish", error=refused(6380)))
    _, mail, body = only(mails)
    assert "feature_views.build failed" in mail["Subject"]
    assert "Another task of this run that fails of the same cause sends no mail of its own." in body
    assert "build failed of the same cause in this run" in capsys.readouterr().out


@pytest.mark.parametrize("error", [refused("another host"), OSError(str(refused(6379))), None])
def test_of_two_causes_each_is_mailed(two_tasks, mails, xcoms, error):
    """Another text, another type, and a process that was killed."""
    failure_notifier()(task_context(two_tasks, error=refused(6379)))
    failure_notifier()(task_context(two_tasks, task_id="publish", error=error))
    assert len(mails) == 2


def test_a_run_that_was_cleared_and_fails_again_is_mailed_again(two_tasks, mails, xcoms):
    failure_notifier()(task_context(two_tasks, error=refused(6379)))
    failure_notifier()(task_context(two_tasks, task_id="publish", error=refused(6379), clear_number=1))
    assert len(mails) == 2


def test_of_two_that_fail_at_the_same_moment_exactly_one_mails(two_tasks, mails, xcoms, monkeypatch):
    """Both have written their cause before either looks."""
    monkeypatch.setattr(failure_causes.time, "time", lambda: 1.0)
    cause = failure_causes.cause_of(refused(6379))
    xcoms["build", failure_causes.KEY] = [cause, 0, 1.0, "build"]
    xcoms["publish", failure_causes.KEY] = [cause, 0, 1.0, "publish"]
    for task_id in ("publish", "build"):
        failure_notifier()(task_context(two_tasks, task_id=task_id, error=refused(6379)))
    _, mail, _ = only(mails)
    assert "feature_views.build failed" in mail["Subject"]


def test_when_nobody_can_tell_the_task_mails(two_tasks, mails, monkeypatch, capsys):
    def away(*_, **__):
        raise ConnectionError("no API")

    monkeypatch.setattr(RuntimeTaskInstance, "xcom_push", away)
    failure_notifier()(task_context(two_tasks, error=refused(6379)))
    only(mails)
    assert "Could not see which other tasks failed" in capsys.readouterr().out


def test_a_long_error_is_cut_and_says_so(dag, mails):
    failure_notifier()(task_context(dag, error=ValueError("x" * 9000)))
    _, _, body = only(mails)
    assert "the rest is in the log" in body
    assert "x" * 4001 not in body


def test_a_task_whose_process_was_killed_is_mailed_by_the_dag_processor(dag, mails):
    """The scheduler noticed it, so there is no exception: the path of `_execute_task_callbacks`."""
    request = TaskCallbackRequest.model_construct(
        filepath="f.py", bundle_name="b", bundle_version=None, msg="heartbeat", task_callback_type=None,
        ti=SimpleNamespace(
            dag_id=dag.dag_id, task_id="build", run_id="r1", id=uuid.uuid4(),
            model_dump=lambda **_: {
                "id": uuid.uuid4(), "dag_id": dag.dag_id, "task_id": "build", "run_id": "r1", "try_number": 1,
                "map_index": -1,
            },
        ),
        context_from_server=TIRunContext(dag_run=run_of(dag, run_id="r1"), max_tries=2),
    )  # fmt: skip
    _execute_task_callbacks(SimpleNamespace(dags={dag.dag_id: dag}), request, structlog.get_logger())
    _, _, body = only(mails)
    assert NO_ERROR_KNOWN.replace("'", "&#39;") in body
    assert "1 of 3" in body


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("timed_out", ["longer than its time limit"]),
        ("all_tasks_deadlocked", ["No task of the run can start"]),
        ("something_else", ["reason is something_else"]),
        ("task_failure", []),
    ],
)
@pytest.mark.parametrize("has_last_task", [True, False])
def test_a_run_mails_only_if_no_task_of_it_did(dag, mails, reason, expected, has_last_task):
    """The path of the DAG processor, with and without a task instance to enrich the context."""
    server = None
    if has_last_task:
        fields = {
            "id": uuid.uuid4(), "dag_id": dag.dag_id, "task_id": "build", "run_id": "r 1", "try_number": 1,
            "map_index": -1,
        }  # fmt: skip
        last = SimpleNamespace(task_id="build", model_dump=lambda **_: fields)
        server = DagRunContext.model_construct(dag_run=run_of(dag, run_id="r 1"), last_ti=last)
    request = DagCallbackRequest.model_construct(
        filepath="f.py", bundle_name="b", bundle_version=None, dag_id=dag.dag_id, run_id="r 1", msg=reason,
        is_failure_callback=True, context_from_server=server,
    )  # fmt: skip
    _execute_dag_callbacks(SimpleNamespace(dags={dag.dag_id: dag}), request, structlog.get_logger())
    assert len(mails) == len(expected)
    for text in expected:
        _, mail, body = only(mails)
        assert str(mail["Subject"]).startswith("[shelfcast] feature_views: run failed, ")
        assert text in body
        assert "/dags/feature_views/runs/r%201" in body
        assert "<code>build</code>" in body


def test_airflows_own_templating_loses_the_mail_of_a_run_without_logical_date(dag, mails):
    """The negative control: the stock notifier with a template that names the data interval."""
    stock = SmtpNotifier(to="oncall@shop.example", subject="failed {{ data_interval_start }}", html_content="x")
    with pytest.raises(UndefinedError):
        stock(task_context(dag, error=ValueError("x")))
    assert mails == []


@pytest.mark.parametrize(
    ("runbook", "found"),
    [
        (RUNBOOK, "`build` says *nothing to do*: wait.\n\nTwo rows & <none>: clear it."),
        ("### When it fails\nA.\n\n### Other\nB.", "A."),
        ("no headings", ""),
        ("", ""),
    ],
)
def test_a_section_ends_where_the_next_one_begins(runbook, found):
    assert section(runbook, "When it fails") == found


def test_a_mail_shows_a_runbooks_markdown_and_none_of_its_html(dag, mails):
    dag.doc_md = (
        "### When it fails\nSee *fewer\ndays*, `a*b*c`:\n\n* clear **it**\n* [ask](javascript:alert(1)) <b>me</b>"
    )
    failure_notifier()(task_context(dag, error=ValueError("x")))
    _, _, body = only(mails)
    assert "See <em>fewer\ndays</em>, <code>a*b*c</code>:" in body
    assert "<li>clear <strong>it</strong></li>" in body
    assert "&lt;b&gt;me&lt;/b&gt;" in body
    assert "<a href" not in body.partition("fewer")[2].partition("</ul>")[0]


def test_a_dag_without_runbook_still_mails(dag, mails):
    dag.doc_md = None
    failure_notifier()(task_context(dag, error=ValueError("x")))
    _, _, body = only(mails)
    assert "runbook does not say" in body
