-- Rows whose text is the one that is bound.
SELECT number FROM {{ table }} WHERE text = :text ORDER BY number
