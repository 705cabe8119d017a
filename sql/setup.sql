-- The extension, and what the other tests use: watch() subscribes, feed() shows what has arrived,
-- refused() shows the error with which live.subscribe refuses a query, routing_of() what finds it.
CREATE EXTENSION live_queries;
-- Every object of it has a comment.
SELECT pg_describe_object(classid, objid, objsubid) AS without_comment
FROM pg_depend
WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
  AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'live_queries')
  AND obj_description(objid, classid::regclass::text) IS NULL
  AND classid <> 'pg_type'::regclass;

CREATE PROCEDURE watch(id text, query text, VARIADIC params text[] DEFAULT '{}')
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM live.subscribe(id, query, params, "snapshot" => false, delivery => 'poll');
END $$;

-- One row a change; message counts the messages of one subscription in this call.
CREATE FUNCTION feed(OUT id text, OUT message int, OUT change text) RETURNS SETOF record
LANGUAGE plpgsql AS $$
BEGIN
  IF NOT live.wait_for(timeout => '60s') THEN
    RAISE EXCEPTION 'the decoder is late';
  END IF;
  RETURN QUERY
    SELECT p.subscription_id,
           (dense_rank() OVER (PARTITION BY p.subscription_id ORDER BY p.number))::int,
           CASE WHEN p.message->>'type' = 'changes' THEN
             concat_ws(' ', c.change->>'op', c.change->'key', c.change->'row',
                       'old ' || (c.change->>'old'))
           ELSE
             concat_ws(': ', p.message->>'type', p.message->>'code', p.message->>'reason')
           END
    FROM live.poll() WITH ORDINALITY AS p(seq, subscription_id, message, number)
    LEFT JOIN LATERAL json_array_elements(p.message->'changes') WITH ORDINALITY
      AS c(change, number) ON true
    ORDER BY p.subscription_id COLLATE "C", p.number, c.number;
END $$;

CREATE PROCEDURE refused(query text, VARIADIC params text[] DEFAULT '{}')
LANGUAGE plpgsql AS $$
DECLARE
  code text; problem text; details text; advice text;
BEGIN
  PERFORM live.subscribe('refused', query, params, delivery => 'poll');
  RAISE EXCEPTION 'not refused: %', query;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, problem = MESSAGE_TEXT,
    details = PG_EXCEPTION_DETAIL, advice = PG_EXCEPTION_HINT;
  IF details <> '' AND advice <> '' THEN
    RAISE NOTICE '% %', code, problem USING DETAIL = details, HINT = advice;
  ELSIF details <> '' THEN
    RAISE NOTICE '% %', code, problem USING DETAIL = details;
  ELSIF advice <> '' THEN
    RAISE NOTICE '% %', code, problem USING HINT = advice;
  ELSE
    RAISE NOTICE '% %', code, problem;
  END IF;
END $$;

-- What of live.explain is about routing.
CREATE FUNCTION routing_of(query text, params text[] DEFAULT '{}', OUT property text, OUT value text) RETURNS SETOF record
LANGUAGE sql AS $$
  SELECT property, value FROM live.explain(query, params) WHERE property IN
    ('strategy', 'routing', 'routing index', 'checked for each route', 'row security and barriers', 'residual filter')
  AND value <> ''
$$;
