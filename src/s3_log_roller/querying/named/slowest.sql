-- The requests that took the longest, in milliseconds.
-- total_time includes sending to the client, so a slow client looks like a slow request; turn_around_time does not.
-- Parameter rows (default 20): how many requests
SELECT total_time, turn_around_time, time, operation, bucket, key_decoded AS key, bytes_sent, requester, request_id
FROM logs
WHERE total_time IS NOT NULL
ORDER BY total_time DESC, time, request_id
LIMIT CAST($rows AS BIGINT)
