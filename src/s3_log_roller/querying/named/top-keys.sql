-- The keys with the most requests, with the bytes sent for them.
-- Parameter rows (default 20): how many keys
SELECT bucket, key_decoded AS key, count(*) AS requests, coalesce(sum(bytes_sent), 0) AS bytes_sent,
  count(DISTINCT requester) AS requesters
FROM logs
WHERE key_decoded IS NOT NULL AND operation NOT LIKE 'S3.%'
GROUP BY ALL
ORDER BY requests DESC, bucket, key
LIMIT CAST($rows AS BIGINT)
