-- Forgets an earlier try of the same run with the same release.
DELETE FROM OPERATIONS.RELEASES WHERE release_id = :release_id AND run_id = :run_id
