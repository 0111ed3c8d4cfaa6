-- Errors of S3 itself (status 500 and above), by operation, with the share of its requests that failed.
-- 503 SlowDown means that clients sent requests faster than S3 takes them, not that S3 was out of order.
SELECT operation, count(*) FILTER (http_status >= 500) AS errors, count(*) AS requests,
  round(100.0 * errors / requests, 3)::DOUBLE AS percent,
  list(DISTINCT error_code ORDER BY error_code) FILTER (http_status >= 500) AS error_codes
FROM logs
WHERE http_status IS NOT NULL
GROUP BY operation
HAVING errors > 0
ORDER BY errors DESC, operation
