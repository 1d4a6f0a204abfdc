-- Drops what a training frame can do without, but for the cutoff itself, whose series are all forecast.
DELETE FROM FEATURES.DEMAND
WHERE
    business_date <> :cutoff
    AND NOT (
        {% include "training/in_sample.jinja" %}
    )
