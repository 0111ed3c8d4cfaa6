-- Requests and bytes sent by bucket and prefix of the key.
-- Parameter depth (default 1): how many folders the prefix has
SELECT bucket,
  array_to_string(list_slice(string_split(key_decoded, '/')[:-2], 1, CAST($depth AS BIGINT)), '/') AS prefix,
  count(*) AS requests, coalesce(sum(bytes_sent), 0) AS bytes_sent
FROM logs
WHERE key_decoded IS NOT NULL AND operation NOT LIKE 'S3.%'
GROUP BY ALL
ORDER BY bytes_sent DESC, requests DESC, bucket, prefix
