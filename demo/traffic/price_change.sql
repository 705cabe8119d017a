-- A product becomes cheaper, or dearer.
\set product random(1, 40)
\set percent random(85, 118)
UPDATE products SET price = greatest(0.90, round(price * :percent / 100, 2)) WHERE id = :product;
