-- Alerts a machine and day, and how long they lasted: duckdb < alerts.sql, beside the folder that `nexova export alerts
-- --to exported` made. The topic holds every change of an alert; the newest one is the alert.
WITH newest AS (
    SELECT * FROM 'exported/nexova.alerts/*.parquet'
    QUALIFY row_number() OVER (PARTITION BY alert_id ORDER BY kafka_offset DESC) = 1
)
SELECT
    machine_id,
    CAST(opened_at AS DATE) AS day,
    count(*) AS alerts,
    count(*) FILTER (severity = 'critical') AS critical,
    round(avg(date_diff('minute', opened_at, coalesce(resolved_at, updated_at))), 1) AS mean_minutes
FROM newest
GROUP BY ALL
ORDER BY alerts DESC, machine_id;
