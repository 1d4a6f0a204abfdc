-- Rows of a table from a number on, in order.
SELECT * FROM {{ table }} WHERE number >= :least ORDER BY number
