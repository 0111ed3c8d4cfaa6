-- What lifecycle rules did, by day and bucket: objects expired, moved to another storage class, uploads given up.
-- The day is that of the record, not that of the log.
SELECT CAST(time AS DATE) AS on_day, bucket, operation, count(*) AS objects, coalesce(sum(object_size), 0) AS bytes
FROM logs
WHERE operation IN ('S3.EXPIRE.OBJECT', 'S3.CREATE.DELETEMARKER', 'S3.DELETE.UPLOAD')
  OR operation LIKE 'S3.TRANSITION%.OBJECT'
GROUP BY ALL
ORDER BY on_day, bucket, operation
