"""What tables hold whose changes pgoutput cannot tell.

Owns: the triggers that write each change of such a table into the log, as a message of its transaction. A publication
forbids UPDATE and DELETE without a replica identity, and tells nothing of an old row that the log does not hold; these
tables lose their keys and identities, and get partitions with rows in them.
"""

PREFIX = "oracle-journal"  # of the messages: an array of what Replay takes as a change

DEFINITIONS = """
CREATE FUNCTION public.journal_image(json) RETURNS json LANGUAGE sql IMMUTABLE
    RETURN (SELECT json_object_agg(key, value) FROM json_each_text($1));
CREATE FUNCTION public.journal_row() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS $$
DECLARE
    told json;
BEGIN
    told := CASE TG_OP
        WHEN 'INSERT' THEN json_build_array('insert', TG_ARGV[0], journal_image(row_to_json(NEW)))
        WHEN 'DELETE' THEN json_build_array('delete', TG_ARGV[0], journal_image(row_to_json(OLD)))
        ELSE json_build_array('update', TG_ARGV[0], journal_image(row_to_json(OLD)), journal_image(row_to_json(NEW))) END;
    PERFORM pg_logical_emit_message(true, 'oracle-journal', told::text);
    RETURN NULL;
END $$;
CREATE FUNCTION public.journal_rows(root text, leaf regclass, op text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SELECT pg_logical_emit_message(true, ''oracle-journal'', json_build_array(%L, %L,'
        ' journal_image(row_to_json(t)))::text) FROM ONLY %s t', op, root, leaf);
END $$;
CREATE FUNCTION public.journal_truncate() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS $$
BEGIN
    -- A TRUNCATE is told where there was no row, too: its transaction has to be known.
    PERFORM pg_logical_emit_message(true, 'oracle', '');
    PERFORM public.journal_rows(TG_ARGV[0], TG_RELID, 'delete');
    RETURN NULL;
END $$;
"""


def watch(root):
    """Returns the statements that make the triggers of a table and of its leaves."""
    return """
CREATE TRIGGER journal AFTER INSERT OR UPDATE OR DELETE ON {0} FOR EACH ROW EXECUTE FUNCTION journal_row('{0}');
DO $$
DECLARE
    leaf regclass;
BEGIN
    FOR leaf IN SELECT relid FROM pg_partition_tree('{0}') WHERE isleaf UNION SELECT '{0}'::regclass LOOP
        IF leaf <> '{0}'::regclass OR NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = leaf) THEN
            EXECUTE format('CREATE TRIGGER journal_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT'
                           ' EXECUTE FUNCTION journal_truncate(%L)', leaf, '{0}');
        END IF;
    END LOOP;
END $$""".format(root)


def truncated(root, leaf):
    """Returns the statement that makes the trigger of a new leaf; the others it has from the root."""
    return ("CREATE TRIGGER journal_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT"
            " EXECUTE FUNCTION journal_truncate('%s')" % (leaf, root))
