-- Business dates that this batch completes. A date that is closed again keeps its first close.
MERGE INTO OPERATIONS.BUSINESS_DATES t
USING (
    SELECT business_date, closed_at, position, generation, batch_id
    FROM RAW.BUSINESS_DAYS_CHANGES
    WHERE op <> 'd'
    QUALIFY ROW_NUMBER() OVER (PARTITION BY business_date ORDER BY generation, position_ordinal) = 1
) s
ON t.business_date = s.business_date
WHEN NOT MATCHED THEN INSERT (business_date, closed_at, position, generation, batch_id)
VALUES (s.business_date, s.closed_at, s.position, s.generation, s.batch_id)
