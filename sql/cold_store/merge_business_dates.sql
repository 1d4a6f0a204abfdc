-- Business dates that this batch completes. A date that is closed again keeps its first close. The log says in which order
-- the shop closed them, whatever the dates: a close that claims to be no later than one before it in the log counts as a
-- microsecond later, or what came between the two would be known before it was written.
MERGE INTO OPERATIONS.BUSINESS_DATES t
USING (
    SELECT
        business_date,
        DATEADD(
            MICROSECOND,
            ordinal,
            GREATEST(
                newest_close,
                MAX(DATEADD(MICROSECOND, -ordinal, closed_at)) OVER (
                    ORDER BY ordinal ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                )
            )
        ) AS closed_at,
        position,
        generation,
        batch_id
    FROM (
        SELECT
            f.*,
            ROW_NUMBER() OVER (ORDER BY f.generation, f.position_ordinal, f.closed_at, f.business_date) AS ordinal,
            COALESCE((SELECT MAX(closed_at) FROM OPERATIONS.BUSINESS_DATES), '1900-01-01'::TIMESTAMP) AS newest_close
        FROM (
            SELECT business_date, closed_at, position, position_ordinal, generation, batch_id
            FROM RAW.BUSINESS_DAYS_CHANGES
            WHERE op <> 'd'
            QUALIFY ROW_NUMBER() OVER (PARTITION BY business_date ORDER BY generation, position_ordinal) = 1
        ) f
        LEFT JOIN OPERATIONS.BUSINESS_DATES k ON f.business_date = k.business_date
        WHERE k.business_date IS NULL
    ) n
) s
ON t.business_date = s.business_date
WHEN NOT MATCHED THEN INSERT (business_date, closed_at, position, generation, batch_id)
VALUES (s.business_date, s.closed_at, s.position, s.generation, s.batch_id)
