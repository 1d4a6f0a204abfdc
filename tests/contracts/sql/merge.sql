-- Changes the rows that are there and adds the one that is not.
MERGE INTO {{ table }} t
USING (SELECT number, text FROM {{ table }} UNION ALL SELECT :number AS number, :text AS text) s
ON t.number = s.number
WHEN MATCHED THEN UPDATE SET text = s.text
WHEN NOT MATCHED THEN INSERT (number, text) VALUES (s.number, s.text)
