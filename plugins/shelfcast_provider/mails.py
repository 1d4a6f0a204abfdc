"""Mails to the deployment's alert address over the connection `smtp_default`."""

from pathlib import Path

from airflow.providers.smtp.hooks.smtp import SmtpHook
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from shelfcast.settings import Settings
from shelfcast_provider.connections import SMTP

SENDER = "shelfcast@localhost"
"""Where mails come from if the connection names no `from_email`."""


def send(subject: str, body: str) -> None:
    """Sends one mail; `body` is HTML."""
    with SmtpHook(smtp_conn_id=SMTP) as smtp:
        smtp.send_email_smtp(
            to=Settings.from_environment().alert_address,
            from_email=smtp.from_email or SENDER,
            subject=subject,
            html_content=body,
        )


def body_of(template: str, **values: object) -> str:
    """A template of this folder, filled in; every value is escaped."""
    folder = Path(__file__).parent
    environment = Environment(loader=FileSystemLoader(folder), undefined=StrictUndefined, autoescape=True)
    return environment.get_template(template).render(**values)
