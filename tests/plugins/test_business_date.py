"""Where a daily DAG's run has its business date from, and what its events carry."""

from types import SimpleNamespace

import pytest
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.execution_time.context import OutletEventAccessors
from airflow.sdk.execution_time.task_runner import _serialize_outlet_events

from shelfcast_provider.assets import DEMAND_FEATURES, SALES_CHANGES
from shelfcast_provider.business_date import BUSINESS_DATE, business_date_in, business_date_of, emit_business_date
from shelfcast_provider.schedules import daily_settings, on_business_date


class Task(BaseOperator):
    template_fields = ("business_date",)

    def __init__(self, *, business_date, **kwargs):
        super().__init__(**kwargs)
        self.business_date = business_date

    def execute(self, context):
        """Never called here."""


def task_and_context(*, given=None, key=None, outlets=(DEMAND_FEATURES,)):
    with DAG("daily", schedule=on_business_date(SALES_CHANGES), **daily_settings("# Runbook", tags=[])):
        task = Task(task_id="build", business_date=BUSINESS_DATE, outlets=list(outlets))
    run = SimpleNamespace(partition_key=key)
    context = {
        "params": {"business_date": given},
        "dag_run": run,
        "task": task,
        "outlet_events": OutletEventAccessors(),
    }
    return task, context


@pytest.mark.parametrize(
    ("given", "key", "expected"),
    [
        (None, "2025-07-03", "2025-07-03"),
        ("2025-07-04", None, "2025-07-04"),
        ("2025-07-04", "2025-07-03", "2025-07-04"),
    ],
)
def test_the_form_comes_before_the_partition_key(given, key, expected):
    task, context = task_and_context(given=given, key=key)
    task.render_template_fields(context)
    assert task.business_date == business_date_in(context) == expected
    assert business_date_of(task.business_date).isoformat() == expected
    task._post_execute_hook(context, None)
    assert [(event["dest_asset_key"]["name"], event["partition_key"]) for event in sent(context)] == [
        ("demand_features", expected)
    ]


def sent(context):
    """Events as a task sends them to Airflow."""
    return list(_serialize_outlet_events(context["outlet_events"]))


def test_without_either_the_run_fails_for_good_and_says_where_to_give_it():
    task, context = task_and_context()
    task.render_template_fields(context)
    with pytest.raises(AirflowFailException, match="trigger it by hand with a business date"):
        business_date_of(task.business_date)


def test_a_task_that_emits_nothing_has_no_event():
    _, context = task_and_context(given="2025-07-04", outlets=())
    emit_business_date(context)
    assert sent(context) == []


@pytest.mark.parametrize("context", [{}, {"params": None, "dag_run": None}])
def test_a_context_that_holds_neither_has_no_business_date(context):
    assert business_date_in(context) is None
