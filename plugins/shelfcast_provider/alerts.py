"""Mails about failures: one for a task that failed for good, one for a run that ended without any task saying why.

A task with retries left does not mail, nor does one that fails of what another task of its run has mailed already. A run
that fails because a task failed does not mail either, that task did; a run that ran out of time or is deadlocked mails once.
The text is made here, not by Airflow's templating: its templates fail on what a run without a logical date does not have,
and a mail that fails to render is a mail lost.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from airflow.sdk import BaseNotifier
from airflow.sdk.configuration import conf
from markupsafe import Markup

from shelfcast_provider import mails
from shelfcast_provider.business_date import business_date_in
from shelfcast_provider.failure_causes import told_by

LONGEST_ERROR = 4000
"""Characters of an error that a mail shows; the log has all of it."""

NO_ERROR_KNOWN = (
    "The task's process ended without an error of its own: it was killed, ran out of memory or lost its machine. "
    "The end of the log and the scheduler's log say more."
)
REPORTED_BY_A_TASK = "task_failure"
RUN_REASONS = {
    "timed_out": "The run took longer than its time limit; its unfinished tasks were stopped.",
    "all_tasks_deadlocked": "No task of the run can start: each waits for one that will never be done.",
}


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What a mail says.

    Attributes:
        dag_id: The DAG.
        run_id: Its run.
        business_date: Of the run's form or its partition key; `None` for a run that belongs to no date.
        task: Task id, with `[index]` if mapped; `None` if the run failed as a whole.
        tries: Such as `3 of 3`; `None` for a run.
        error: Plain text.
        link: Page of the log, or of the run.
        what_to_do: Section *When it fails* of the DAG's runbook, Markdown; may be empty.
    """

    dag_id: str
    run_id: str
    business_date: str | None
    task: str | None
    tries: str | None
    error: str
    link: str
    what_to_do: str

    @classmethod
    def of_task(cls, context: Mapping[str, Any]) -> "Failure":
        """Reads a task's context; each key may be missing but `ti`."""
        ti = context["ti"]
        index = ti.map_index if ti.map_index is not None and ti.map_index >= 0 else None
        return cls(
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            business_date=business_date_in(context),
            task=ti.task_id if index is None else f"{ti.task_id}[{index}]",
            tries=f"{ti.try_number} of {(ti.max_tries or 0) + 1}",
            error=_text_of(context.get("exception")),
            link=ti.log_url,
            what_to_do=section(_runbook(context), "When it fails"),
        )

    @classmethod
    def of_run(cls, context: Mapping[str, Any]) -> "Failure":
        """Reads a run's context; each key may be missing but `dag` and `run_id`."""
        dag_id, run_id, reason = context["dag"].dag_id, context["run_id"], str(context.get("reason") or "unknown")
        base = conf.get("api", "base_url", fallback="http://localhost:8080/").rstrip("/")
        return cls(
            dag_id=dag_id,
            run_id=run_id,
            business_date=business_date_in(context),
            task=None,
            tries=None,
            error=RUN_REASONS.get(reason, f"The run failed; Airflow's reason is {reason}."),
            link=f"{base}/dags/{dag_id}/runs/{quote(run_id)}",
            what_to_do=section(_runbook(context), "When it fails"),
        )

    @property
    def subject(self) -> str:
        """One line that names what failed and for which date or run."""
        what = f"{self.dag_id}.{self.task} failed" if self.task else f"{self.dag_id}: run failed"
        return re.sub(r"\s+", " ", f"[shelfcast] {what}, {self.business_date or self.run_id}")

    def to_html(self) -> str:
        """The mail's body; everything that came from outside is escaped."""
        return mails.body_of("alert.html", failure=self, what_to_do=_paragraphs(self.what_to_do))


class FailureNotifier(BaseNotifier):
    """Mails a failure.

    Args:
        is_for_runs: Whether it is a DAG's callback; a task's otherwise.
    """

    def __init__(self, *, is_for_runs: bool = False) -> None:
        super().__init__()
        self.is_for_runs = is_for_runs

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
        """Leaves Airflow's templates out: a run's DAG has none in every process, and there is nothing to fill in."""

    def notify(self, context: Any) -> None:
        """Sends the mail; one notifier serves many failures, so it keeps nothing of any."""
        if self.is_for_runs and context.get("reason") == REPORTED_BY_A_TASK:
            return
        if not self.is_for_runs and (other := self._told_by(context)):
            self.log.info("No mail is sent: %s failed of the same cause in this run, and its mail tells of it.", other)
            return
        failure = Failure.of_run(context) if self.is_for_runs else Failure.of_task(context)
        mails.send(failure.subject, failure.to_html())

    def _told_by(self, context: Mapping[str, Any]) -> str | None:
        """The task that mails in place of this one; where nobody can tell, a mail too many is better than none."""
        try:
            return told_by(context)
        except Exception:
            self.log.warning("Could not see which other tasks failed, so this one mails.", exc_info=True)
            return None


def failure_notifier() -> FailureNotifier:
    """For `default_args["on_failure_callback"]`: one mail for each task that failed and has no try left."""
    return FailureNotifier()


def run_failure_notifier() -> FailureNotifier:
    """For a DAG's `on_failure_callback`: one mail for a run that failed without a failed task."""
    return FailureNotifier(is_for_runs=True)


def section(runbook: str, heading: str) -> str:
    """Text below one `### heading` of a runbook; empty if it is not there."""
    found = re.search(rf"^###\s+{re.escape(heading)}\s*\n(.*?)(?=^###\s|\Z)", runbook, flags=re.M | re.S)
    return found.group(1).strip() if found else ""


def _runbook(context: Mapping[str, Any]) -> str:
    return getattr(context.get("dag"), "doc_md", None) or ""


def _text_of(error: object) -> str:
    if error is None:
        return NO_ERROR_KNOWN
    name = "" if isinstance(error, str) else f"{type(error).__name__}: "
    text = f"{name}{error}"
    return text if len(text) <= LONGEST_ERROR else f"{text[:LONGEST_ERROR]} … (the rest is in the log)"


def _paragraphs(markdown: str) -> Markup:
    """A runbook's Markdown as HTML; HTML in it is escaped."""
    from markdown_it import MarkdownIt

    return Markup(MarkdownIt("commonmark", {"html": False}).render(markdown))  # noqa: S704
