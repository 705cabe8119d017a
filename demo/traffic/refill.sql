-- The product that there is least of comes in, if there are few.
\set amount random(30, 80)
UPDATE stock SET amount = amount + :amount
WHERE product_id = (SELECT product_id FROM stock ORDER BY amount, product_id LIMIT 1) AND amount < 15;
