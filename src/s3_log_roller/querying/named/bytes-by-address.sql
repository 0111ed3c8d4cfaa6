-- Requests and bytes sent by IP address.
-- An address may be that of a proxy or a NAT gateway with many clients behind it.
-- Parameter rows (default 50): how many addresses
SELECT remote_ip, count(*) AS requests, coalesce(sum(bytes_sent), 0) AS bytes_sent, count(DISTINCT requester) AS requesters
FROM logs
WHERE remote_ip IS NOT NULL AND operation NOT LIKE 'S3.%'
GROUP BY ALL
ORDER BY bytes_sent DESC, requests DESC, remote_ip
LIMIT CAST($rows AS BIGINT)
