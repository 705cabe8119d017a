-- A customer orders up to three products, some of both far more often than others. What is not in stock is left out.
\set customer random_zipfian(1, 200, 1.2)
\set first random_zipfian(1, 15, 1.1)
\set second random_zipfian(16, 30, 1.1)
\set third random(31, 40)
\set quantity random(1, 3)
BEGIN;
INSERT INTO orders (customer_id) VALUES (:customer) RETURNING id \gset
WITH taken AS (
    UPDATE stock SET amount = amount - :quantity
    WHERE product_id IN (:first, :second, :third) AND amount >= :quantity
    RETURNING product_id
)
INSERT INTO items SELECT :id, product_id, :quantity, price FROM taken JOIN products ON products.id = product_id;
UPDATE orders SET total = (SELECT sum(quantity * price) FROM items WHERE order_id = :id) WHERE id = :id;
DELETE FROM orders WHERE id = :id AND total IS NULL;
COMMIT;
