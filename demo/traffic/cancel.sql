-- The newest order that is still open is cancelled, and what was ordered goes back into the stock.
BEGIN;
WITH cancelled AS (
    SELECT id FROM orders WHERE status = 'open' ORDER BY id DESC LIMIT 1
)
UPDATE stock SET amount = amount + quantity
FROM items WHERE items.product_id = stock.product_id AND order_id IN (SELECT id FROM cancelled);
DELETE FROM orders WHERE id = (SELECT id FROM orders WHERE status = 'open' ORDER BY id DESC LIMIT 1);
COMMIT;
