-- Who is refused (status 401 or 403), how often and for what.
-- Requests without valid credentials have no requester: they are anonymous here.
SELECT coalesce(requester, 'anonymous') AS requester, operation, error_code, count(*) AS requests,
  count(DISTINCT remote_ip) AS addresses, min(time) AS first, max(time) AS last
FROM logs
WHERE http_status IN (401, 403)
GROUP BY ALL
ORDER BY requests DESC, requester, operation, error_code
