/* A live query by libpq, in one file: subscribe, read the first result, follow the messages.
 *
 *   libpq_client CONNECTION QUERY [PARAMETER...]
 *
 * Prints the result as one line of JSON, again whenever it has changed, until the live query or the connection ends.
 * For the JSON it uses json-c:  cc libpq_client.c $(pkg-config --cflags --libs libpq json-c)
 */
#include <json-c/json.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 1000

/* The rows, in no order, each with the JSON text of its key: a real program would have a hash table. */
static struct { char *key; json_object *row; } *rows;
static size_t count, room;

static void
fail(const char *message)
{
	fprintf(stderr, "%s\n", message);
	exit(1);
}

static void
add(json_object *key, json_object *row)
{
	if (count == room)
	{
		room = room ? room * 2 : 64;
		rows = realloc(rows, room * sizeof(*rows));
		if (!rows)
			fail("out of memory");
	}
	rows[count].key = strdup(json_object_to_json_string_ext(key, JSON_C_TO_STRING_PLAIN));
	rows[count].row = json_object_get(row);
	count++;
}

static void
remove_at(size_t at)
{
	free(rows[at].key);
	json_object_put(rows[at].row);
	rows[at] = rows[--count];
}

/* Where rows can be equal, any of them will do. */
static void
remove_key(json_object *key)
{
	const char *text = json_object_to_json_string_ext(key, JSON_C_TO_STRING_PLAIN);

	for (size_t at = 0; at < count; at++)
		if (strcmp(rows[at].key, text) == 0)
		{
			remove_at(at);
			return;
		}
	fail("a message does not fit the result");
}

static void
clear(void)
{
	while (count > 0)
		remove_at(count - 1);
}

static void
show(void)
{
	printf("[");
	for (size_t at = 0; at < count; at++)
		printf("%s%s", at ? "," : "", json_object_to_json_string_ext(rows[at].row, JSON_C_TO_STRING_PLAIN));
	printf("]\n");
	fflush(stdout);
}

static const char *
text_of(json_object *object, const char *name)
{
	const char *text = json_object_get_string(json_object_object_get(object, name));

	return text ? text : "";
}

static PGresult *
query(PGconn *connection, const char *sql, int n, const char *const *values)
{
	PGresult   *result = PQexecParams(connection, sql, n, NULL, values, NULL, NULL, 0);

	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		fail(PQresultErrorMessage(result));
	return result;
}

/* In batches: one that is not full is the last. Changes are told only after that. */
static void
read_snapshot(PGconn *connection)
{
	char		batch[16];
	const char *values[] = {"q", batch};
	int			n;

	snprintf(batch, sizeof(batch), "%d", BATCH);
	clear();
	do
	{
		PGresult   *result = query(connection, "SELECT key, \"row\" FROM live.snapshot($1, $2::int)", 2, values);

		n = PQntuples(result);
		for (int i = 0; i < n; i++)
		{
			json_object *key = json_tokener_parse(PQgetvalue(result, i, 0));
			json_object *row = json_tokener_parse(PQgetvalue(result, i, 1));

			add(key, row);
			json_object_put(key);
			json_object_put(row);
		}
		PQclear(result);
	} while (n == BATCH);
}

static void
apply(json_object *change)
{
	const char *op = text_of(change, "op");
	json_object *key = json_object_object_get(change, "key");

	if (strcmp(op, "clear") == 0)
	{
		clear();
		return;
	}
	if (strcmp(op, "insert") != 0)
		remove_key(key);
	if (strcmp(op, "delete") != 0)
		add(key, json_object_object_get(change, "row"));
}

static void
handle(PGconn *connection, json_object *message)
{
	const char *type = text_of(message, "type");
	const char *id[] = {"q"};

	if (strcmp(type, "changes") == 0)
	{
		json_object *changes = json_object_object_get(message, "changes");

		for (size_t i = 0; i < json_object_array_length(changes); i++)
			apply(json_object_array_get_idx(changes, i));
		/* Else the rest of this moment is still to come. */
		if (!json_object_get_boolean(json_object_object_get(message, "more")))
			show();
	}
	else if (strcmp(type, "reset") == 0)
	{
		/* Changes were lost: begin again. Nothing is told meanwhile. */
		PQclear(query(connection, "SELECT live.refresh($1)", 1, id));
		read_snapshot(connection);
		show();
	}
	else if (strcmp(type, "terminated") == 0)
	{
		fprintf(stderr, "the live query has ended: %s\n", text_of(message, "reason"));
		exit(1);
	}
}

/* PostgreSQL's text form of an array of texts, to be freed. */
static char *
array_literal(int n, char **texts)
{
	size_t		size = 3;
	char	   *literal,
			   *to;

	for (int i = 0; i < n; i++)
		size += 2 * strlen(texts[i]) + 3;
	to = literal = malloc(size);
	if (!literal)
		fail("out of memory");
	*to++ = '{';
	for (int i = 0; i < n; i++)
	{
		if (i > 0)
			*to++ = ',';
		*to++ = '"';
		for (const char *from = texts[i]; *from; *to++ = *from++)
			if (*from == '"' || *from == '\\')
				*to++ = '\\';
		*to++ = '"';
	}
	*to++ = '}';
	*to = '\0';
	return literal;
}

int
main(int argc, char **argv)
{
	const char *values[] = {"q", argc > 2 ? argv[2] : NULL, NULL};
	PGconn	   *connection;
	char	   *params;

	if (argc < 3)
		fail("usage: libpq_client CONNECTION QUERY [PARAMETER...]");
	connection = PQconnectdb(argv[1]);
	if (PQstatus(connection) != CONNECTION_OK)
		fail(PQerrorMessage(connection));
	values[2] = params = array_literal(argc - 3, argv + 3);
	PQclear(query(connection, "SELECT FROM live.subscribe($1, $2, $3::text[])", 3, values));
	free(params);
	read_snapshot(connection);
	show();

	for (;;)
	{
		struct pollfd socket = {.fd = PQsocket(connection), .events = POLLIN};
		PGnotify   *told;

		/* Some may have come along with the answer to a command: so first these, then the wait. */
		while ((told = PQnotifies(connection)) != NULL)
		{
			json_object *message = json_tokener_parse(told->extra);

			PQfreemem(told);
			handle(connection, message);
			json_object_put(message);
		}
		poll(&socket, 1, -1);
		if (PQconsumeInput(connection) == 0)
			fail(PQerrorMessage(connection));
	}
}
