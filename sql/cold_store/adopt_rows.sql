-- Takes over what a load that was given up left behind: this batch brings the same changes once more.
UPDATE {{ table }}
SET batch_id = :batch_id
WHERE batch_id NOT IN (SELECT batch_id FROM OPERATIONS.BATCHES)
