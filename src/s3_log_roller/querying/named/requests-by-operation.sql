-- Requests, errors and bytes sent, by operation.
-- What S3 does by itself is not a request. A batch of deletes is a request, and each of its keys has a record of its own.
SELECT operation, count(*) AS requests, count(*) FILTER (http_status IN (401, 403)) AS refused,
  count(*) FILTER (http_status BETWEEN 400 AND 499 AND http_status NOT IN (401, 403)) AS client_errors,
  count(*) FILTER (http_status >= 500) AS server_errors, coalesce(sum(bytes_sent), 0) AS bytes_sent
FROM logs
WHERE raw IS NULL AND operation NOT LIKE 'S3.%'
GROUP BY ALL
ORDER BY requests DESC, operation
