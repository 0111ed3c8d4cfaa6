-- Requests, errors and bytes sent, by day.
-- What S3 does by itself is not a request. Refused is status 401 or 403, client errors are the others from 400 to 499.
-- The day is that of the record. Records of the first and last days may be in logs that were not read.
SELECT CAST(time AS DATE) AS on_day, count(*) AS requests, count(*) FILTER (http_status IN (401, 403)) AS refused,
  count(*) FILTER (http_status BETWEEN 400 AND 499 AND http_status NOT IN (401, 403)) AS client_errors,
  count(*) FILTER (http_status >= 500) AS server_errors, coalesce(sum(bytes_sent), 0) AS bytes_sent
FROM logs
WHERE time IS NOT NULL AND operation NOT LIKE 'S3.%'
GROUP BY ALL
ORDER BY on_day
