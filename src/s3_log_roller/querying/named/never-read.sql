-- Keys that were written in this time but not read, with the size last written.
-- It knows only what these logs hold: a key that was neither written nor read in this time is not in them.
SELECT bucket, key_decoded AS key, max(time) AS last_written, arg_max(object_size, time) AS bytes
FROM logs
WHERE operation IN ('REST.PUT.OBJECT', 'REST.POST.UPLOAD', 'REST.COPY.OBJECT', 'REST.GET.OBJECT')
  AND http_status BETWEEN 200 AND 299 AND key_decoded IS NOT NULL
GROUP BY bucket, key_decoded
HAVING count(*) FILTER (operation = 'REST.GET.OBJECT') = 0
ORDER BY bytes DESC NULLS LAST, bucket, key
