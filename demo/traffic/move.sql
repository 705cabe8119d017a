-- A customer moves to where another one lives.
\set customer random(1, 200)
\set other random(1, 200)
UPDATE customers SET city = (SELECT city FROM customers WHERE id = :other) WHERE id = :customer;
