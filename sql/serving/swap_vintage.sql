-- Replaces a vintage with its draft in one statement.
MERGE INTO FORECASTS.LEDGER t
USING (
    SELECT d.*, FALSE AS is_gone FROM FORECASTS.LEDGER_DRAFT d
    UNION ALL
    SELECT l.*, TRUE AS is_gone
    FROM FORECASTS.LEDGER l
    LEFT JOIN FORECASTS.LEDGER_DRAFT d
        ON l.business_date = d.business_date AND l.series_id = d.series_id AND l.horizon_days = d.horizon_days
    WHERE l.business_date = :business_date AND d.series_id IS NULL
) s
ON t.business_date = s.business_date AND t.series_id = s.series_id AND t.horizon_days = s.horizon_days
WHEN MATCHED AND s.is_gone THEN DELETE
WHEN MATCHED THEN UPDATE SET
    sales_date = s.sales_date, release_id = s.release_id, generation = s.generation, mean = s.mean, q05 = s.q05,
    q25 = s.q25, q50 = s.q50, q75 = s.q75, q95 = s.q95, reason_code = s.reason_code, run_id = s.run_id,
    release_cutoff = s.release_cutoff
WHEN NOT MATCHED THEN INSERT (
    business_date, series_id, store_id, item_id, sales_date, horizon_days, release_id, generation, mean, q05, q25, q50,
    q75, q95, reason_code, run_id, release_cutoff
) VALUES (
    s.business_date, s.series_id, s.store_id, s.item_id, s.sales_date, s.horizon_days, s.release_id, s.generation,
    s.mean, s.q05, s.q25, s.q50, s.q75, s.q95, s.reason_code, s.run_id, s.release_cutoff
)
