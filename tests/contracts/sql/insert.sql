-- Adds two rows.
INSERT INTO {{ table }} (number, text) SELECT :number, :text UNION ALL SELECT :number + 1, :text
