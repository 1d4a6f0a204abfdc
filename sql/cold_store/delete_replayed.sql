-- Takes the rows that were merged out of quarantine.
DELETE FROM QUARANTINE.BAD_ROWS
USING (
    SELECT DISTINCT row_key AS merged_key, generation AS merged_generation, position_ordinal AS merged_ordinal
    FROM {{ landed }}
) s
WHERE table_name = :table_name AND row_key = s.merged_key AND generation = s.merged_generation
    AND position_ordinal = s.merged_ordinal
