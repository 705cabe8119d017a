-- One of the open orders is paid, if there are enough of them.
\set place random(0, 14)
BEGIN;
WITH paid AS (
    UPDATE orders SET status = 'paid'
    WHERE id = (SELECT id FROM orders WHERE status = 'open' ORDER BY id LIMIT 1 OFFSET :place)
    RETURNING id, total
)
INSERT INTO payments SELECT id, total FROM paid;
COMMIT;
