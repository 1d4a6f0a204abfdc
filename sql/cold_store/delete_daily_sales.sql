-- Forgets the versions that became known in a span of time, before they are computed again.
DELETE FROM FEATURES.DAILY_SALES WHERE known_at > :known_after AND known_at <= :known_until
