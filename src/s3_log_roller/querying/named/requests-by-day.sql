-- Requests, errors and bytes sent, by day.
-- What S3 does by itself is not a request. The day is that of the record. Records of the first and last days may be in logs that were not read.
SELECT CAST(time AS DATE) AS on_day, count(*) AS requests, count(*) FILTER (http_status BETWEEN 400 AND 499) AS refused,
  count(*) FILTER (http_status >= 500) AS server_errors, coalesce(sum(bytes_sent), 0) AS bytes_sent
FROM logs
WHERE time IS NOT NULL AND operation NOT LIKE 'S3.%'
GROUP BY ALL
ORDER BY on_day
