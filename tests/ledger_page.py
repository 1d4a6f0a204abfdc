"""The queries that are documented in `docs/how-to/read-the-ledger.md`, taken out of the page."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "read-the-ledger.md"
BY_WEEK = "How good are the forecasts, by week ahead?"
VALUE_ADDED = "What do they add to what anyone could have said?"
RESTATEMENTS = "What did restatements change in the score of a vintage?"
COVERAGE = "Do the 90 % intervals of a release hold what they promise?"
ONE_DAY = "How did the forecast of one day develop?"
REASONS = "Which active series have no forecast, and why?"
TOTALS = "What will each store sell in total, and how sure is that?"
QUESTIONS = (BY_WEEK, VALUE_ADDED, RESTATEMENTS, COVERAGE, ONE_DAY, REASONS, TOTALS)


def blocks():
    """The SQL blocks of the page by the heading above them; no heading has two."""
    sections = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]
    found = [(section.partition("\n")[0], block) for section in sections for block in sql_of(section)]
    assert len(dict(found)) == len(found) == len(sql_of(PAGE.read_text()))
    return dict(found)


def sql_of(text):
    return re.findall(r"^```sql\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
