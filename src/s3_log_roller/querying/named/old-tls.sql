-- Who still uses TLS 1.0 or 1.1, or no TLS at all.
-- Records before 2019 do not tell the version, so they count as without TLS only if they name a host.
SELECT coalesce(tls_version, 'none') AS tls, coalesce(requester, 'anonymous') AS requester, user_agent,
  count(*) AS requests, max(time) AS last
FROM logs
WHERE host_header IS NOT NULL
  AND (tls_version IS NULL OR lower(tls_version) IN ('tlsv1', 'tlsv1.0', 'tlsv1.1'))
GROUP BY ALL
ORDER BY requests DESC, tls, requester, user_agent
