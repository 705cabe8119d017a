-- The eight tables of TPC-H, with rows made up at about a five-hundredth of scale 1. The queries' constants match some of them.
CREATE TABLE region (r_regionkey int PRIMARY KEY, r_name text, r_comment text);
CREATE TABLE nation (n_nationkey int PRIMARY KEY, n_name text, n_regionkey int, n_comment text);
CREATE TABLE supplier (s_suppkey int PRIMARY KEY, s_name text, s_address text, s_nationkey int, s_phone text,
  s_acctbal numeric(12,2), s_comment text);
CREATE TABLE part (p_partkey int PRIMARY KEY, p_name text, p_mfgr text, p_brand text, p_type text, p_size int, p_container text,
  p_retailprice numeric(12,2), p_comment text);
CREATE TABLE partsupp (ps_partkey int, ps_suppkey int, ps_availqty int, ps_supplycost numeric(12,2), ps_comment text,
  PRIMARY KEY (ps_partkey, ps_suppkey));
CREATE TABLE customer (c_custkey int PRIMARY KEY, c_name text, c_address text, c_nationkey int, c_phone text,
  c_acctbal numeric(12,2), c_mktsegment text, c_comment text);
CREATE TABLE orders (o_orderkey int PRIMARY KEY, o_custkey int, o_orderstatus char(1), o_totalprice numeric(12,2), o_orderdate date,
  o_orderpriority text, o_clerk text, o_shippriority int, o_comment text);
CREATE TABLE lineitem (l_orderkey int, l_partkey int, l_suppkey int, l_linenumber int, l_quantity numeric(12,2),
  l_extendedprice numeric(12,2), l_discount numeric(12,2), l_tax numeric(12,2), l_returnflag char(1), l_linestatus char(1),
  l_shipdate date, l_commitdate date, l_receiptdate date, l_shipinstruct text, l_shipmode text, l_comment text,
  PRIMARY KEY (l_orderkey, l_linenumber));

SELECT setseed(.5);
-- picked(list, x): one of a list, by a number from 0 to 1.
CREATE FUNCTION picked(list text[], x float8) RETURNS text IMMUTABLE LANGUAGE sql
  AS 'SELECT list[1 + floor(x * cardinality(list))::int % cardinality(list)]';

INSERT INTO region SELECT n - 1, name, '' FROM unnest('{AFRICA,AMERICA,ASIA,EUROPE,MIDDLE EAST}'::text[]) WITH ORDINALITY r(name, n);
INSERT INTO nation SELECT n - 1, name, (n - 1) % 5, '' FROM unnest('{ALGERIA,ARGENTINA,INDIA,FRANCE,EGYPT,ETHIOPIA,BRAZIL,CHINA,GERMANY,
  IRAN,KENYA,CANADA,INDONESIA,ROMANIA,IRAQ,MOROCCO,PERU,JAPAN,RUSSIA,JORDAN,MOZAMBIQUE,UNITED STATES,VIETNAM,UNITED KINGDOM,
  SAUDI ARABIA}'::text[]) WITH ORDINALITY r(name, n);
INSERT INTO supplier SELECT n, 'Supplier#' || n, 'a' || n, floor(random() * 25), 10 + n % 25 || '-' || n, random() * 11000 - 1000,
  picked('{fine,"the Customer slept, Complaints",fine,fine,fine}', random()) FROM generate_series(1, 30) n;
INSERT INTO part SELECT n, picked('{forest,green,almond,blush}', random()) || ' ' || picked('{green,lace,navy}', random()), 'Manufacturer#' ||
  1 + n % 5, 'Brand#' || 1 + n % 5 || 1 + n % 4, picked('{ECONOMY ANODIZED,PROMO BURNISHED,STANDARD POLISHED,MEDIUM POLISHED}', random()) ||
  ' ' || picked('{STEEL,BRASS,TIN}', random()), 1 + floor(random() * 50), picked('{SM,MED,LG}', random()) || ' ' ||
  picked('{CASE,BOX,BAG,PACK,PKG}', random()), 900 + n % 200, '' FROM generate_series(1, 200) n;
INSERT INTO partsupp SELECT p, 1 + (p + s * 7) % 30, floor(random() * 10000), random() * 1000, '' FROM generate_series(1, 200) p,
  generate_series(1, 4) s;
INSERT INTO customer SELECT n, 'Customer#' || n, 'a' || n, floor(random() * 25), 10 + n % 25 || '-' || n, random() * 11000 - 1000,
  picked('{AUTOMOBILE,BUILDING,FURNITURE,MACHINERY,HOUSEHOLD}', random()), '' FROM generate_series(1, 150) n;
INSERT INTO orders SELECT n, 1 + floor(random() * 140), picked('{O,F,P}', random()), random() * 300000,
  date '1992-01-01' + floor(random() * 2400)::int, picked('{1-URGENT,2-HIGH,3-MEDIUM,4-NOT SPECIFIED,5-LOW}', random()),
  'Clerk#' || n % 10, 0, picked('{quick,"special packages requests",slow}', random()) FROM generate_series(1, 1500) n;
INSERT INTO lineitem SELECT o_orderkey, p, 1 + (p + 7 + floor(random() * 4)::int * 7) % 30, l, 1 + floor(random() * 50), random() * 90000,
  floor(random() * 11) / 100, floor(random() * 9) / 100, picked('{R,A,N}', random()), picked('{O,F}', random()), o_orderdate + s,
  o_orderdate + 30 + floor(random() * 60)::int, o_orderdate + s + floor(random() * 30)::int, picked('{DELIVER IN PERSON,NONE,COLLECT COD}',
  random()), picked('{MAIL,SHIP,AIR,AIR REG,TRUCK,RAIL}', random()), ''
  FROM orders, generate_series(1, 4) l, LATERAL (SELECT 1 + floor(random() * 200)::int AS p, 1 + floor(random() * 120)::int AS s, l AS again) r;
CREATE INDEX ON orders (o_custkey);
CREATE INDEX ON lineitem (l_partkey, l_suppkey);
CREATE INDEX ON nation (n_regionkey);
CREATE INDEX ON customer (c_nationkey);
CREATE INDEX ON supplier (s_nationkey);
ANALYZE;
