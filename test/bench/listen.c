/*
 * listen.c
 *   The listening side of the benchmark: many connections, one program.
 *
 * Opens -c connections, runs the given SQL on each ("%c" stands for the
 * connection's number, from 1), prints "ready", and counts the changes that
 * arrive as notifications from then on. It knows nothing of live_queries or of
 * triggers: a change is whatever carries "id":<number> in a payload, so both
 * systems pay for the same reading. Every id is remembered for each connection,
 * so a doubled change is seen as one.
 *
 * Written in C because a scripting language is the bottleneck long before the
 * server is. Several threads (-j) share the connections, each with an epoll of
 * its own; a connection belongs to one thread.
 *
 * Standard input takes lines "expect N..." : how many changes each connection
 * is to receive since the line before, one number for all or one for each. When
 * they have arrived and no more follow for a moment, or when nothing has arrived
 * for -q seconds, a line of totals is printed. The program ends with its input.
 * With -r, each change of the first connection is then written to a file as
 * "id arrival_ns".
 *
 * Times are CLOCK_MONOTONIC in nanoseconds, comparable with write.c's and with
 * Python's time.monotonic_ns() on the same machine.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

enum
{
    kMaxThreads = 16,
    kMaxEvents = 64,
    kTickMs = 20,           /* how often the main thread looks at the counters */
    kGraceNs = 300000000,   /* how long to watch for doubled changes at the end */
    kTypePrefix = 32,       /* a message's type stands within its first bytes */
    kLongestLine = 1 << 16, /* of "expect" */
};

typedef struct
{
    PGconn *conn;
    uint64_t *seen; /* one bit an id; its thread's alone */
    size_t seen_words;
    uint64_t expected; /* main thread only */
    _Atomic uint64_t changes;
    _Atomic uint64_t doubled;
    _Atomic uint64_t messages;
    _Atomic uint64_t resets; /* "reset" and "terminated" messages */
    _Atomic int64_t first_ns;
    _Atomic int64_t last_ns;
} Client;

typedef struct
{
    int64_t id;
    int64_t arrived_ns;
} Arrival;

static Client *clients;
static int client_count = 1;
static int thread_count = 1;
static _Atomic bool stopping;

static Arrival *arrivals; /* the first connection's, if -r was given */
static size_t arrival_count, arrival_capacity;
static const char *record_path;

static int64_t Now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void Die(const char *what, const char *detail)
{
    fprintf(stderr, "listen: %s: %s\n", what, detail);
    exit(1);
}

static void *Grow(void *old, size_t bytes)
{
    void *grown = realloc(old, bytes);

    if (grown == NULL)
        Die("memory", strerror(errno));
    return grown;
}

/* Remembers an id; true if this connection had it already. */
static bool SeenBefore(Client *client, uint64_t id)
{
    size_t word = id / 64;
    uint64_t bit = UINT64_C(1) << (id % 64);
    bool before;

    if (word >= client->seen_words)
    {
        size_t words = word * 2 + 1024;

        client->seen = Grow(client->seen, words * sizeof(uint64_t));
        memset(client->seen + client->seen_words, 0,
               (words - client->seen_words) * sizeof(uint64_t));
        client->seen_words = words;
    }
    before = (client->seen[word] & bit) != 0;
    client->seen[word] |= bit;
    return before;
}

static void Record(int64_t id, int64_t now)
{
    if (arrival_count == arrival_capacity)
    {
        arrival_capacity = arrival_capacity * 2 + 4096;
        arrivals = Grow(arrivals, arrival_capacity * sizeof(Arrival));
    }
    arrivals[arrival_count++] = (Arrival){id, now};
}

/* Counts the changes of one payload. */
static void CountPayload(Client *client, const char *payload, int64_t now)
{
    static const char kId[] = "\"id\":";
    size_t length = strlen(payload);
    size_t head = length < kTypePrefix ? length : kTypePrefix;
    uint64_t changes = 0;

    if (memmem(payload, head, "\"reset\"", 7) || memmem(payload, head, "\"terminated\"", 12))
    {
        fprintf(stderr, "listen: %.300s\n", payload);
        atomic_fetch_add(&client->resets, 1);
    }

    for (const char *at = strstr(payload, kId); at != NULL; at = strstr(at, kId))
    {
        int64_t id;

        at += sizeof(kId) - 1;
        id = strtoll(at, NULL, 10);
        if (id <= 0)
            Die("a change without a positive id", payload);
        if (SeenBefore(client, (uint64_t)id))
            atomic_fetch_add(&client->doubled, 1);
        else
            changes++;
        if (record_path != NULL && client == clients)
            Record(id, now);
    }

    atomic_fetch_add(&client->messages, 1);
    if (changes > 0)
    {
        if (atomic_load(&client->first_ns) == 0)
            atomic_store(&client->first_ns, now);
        atomic_store(&client->last_ns, now);
        atomic_fetch_add(&client->changes, changes);
    }
}

/* Takes all notifications that a connection has. */
static void TakeNotifications(Client *client)
{
    PGnotify *notify;
    int64_t now;

    if (!PQconsumeInput(client->conn))
        Die("connection lost", PQerrorMessage(client->conn));
    now = Now();
    while ((notify = PQnotifies(client->conn)) != NULL)
    {
        CountPayload(client, notify->extra, now);
        PQfreemem(notify);
    }
}

/* A thread's loop over its connections: every thread_count'th. */
static void *ThreadMain(void *argument)
{
    int thread = (int)(intptr_t)argument;
    int queue = epoll_create1(0);

    for (int i = thread; i < client_count; i += thread_count)
    {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};

        epoll_ctl(queue, EPOLL_CTL_ADD, PQsocket(clients[i].conn), &event);
        TakeNotifications(&clients[i]); /* what came with the last answer */
    }
    while (!atomic_load(&stopping))
    {
        struct epoll_event events[kMaxEvents];
        int ready = epoll_wait(queue, events, kMaxEvents, kTickMs);

        for (int i = 0; i < ready; i++)
            TakeNotifications(events[i].data.ptr);
    }
    close(queue);
    return NULL;
}

/* Runs one SQL template on a connection, "%c" replaced by its number. */
static void RunSetup(PGconn *conn, const char *template, int number)
{
    char *sql = NULL;
    size_t size;
    FILE *out = open_memstream(&sql, &size);
    PGresult *result;
    ExecStatusType status;

    for (const char *at = template; *at != '\0'; at++)
    {
        if (at[0] == '%' && at[1] == 'c')
        {
            fprintf(out, "%d", number);
            at++;
        }
        else
            fputc(*at, out);
    }
    fclose(out);

    result = PQexec(conn, sql);
    status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        Die(sql, PQerrorMessage(conn));
    PQclear(result);
    free(sql);
}

/* Reads "expect N..." and sets what each connection is to receive; false at the end of input. */
static bool ReadExpectation(void)
{
    static char line[kLongestLine];
    uint64_t first = 0;
    char *at;

    if (fgets(line, sizeof(line), stdin) == NULL)
        return false;
    if (strncmp(line, "expect ", 7) != 0)
        Die("standard input", "\"expect N...\" is what it takes");
    at = line + 7;
    for (int i = 0; i < client_count; i++)
    {
        char *end;
        uint64_t value = strtoull(at, &end, 10);

        if (i == 0)
            first = value;
        clients[i].expected = end == at ? first : value;
        at = end;
    }
    return true;
}

/* True when every connection has at least what it expects; sums all changes. */
static bool Complete(uint64_t *total)
{
    bool complete = true;

    *total = 0;
    for (int i = 0; i < client_count; i++)
    {
        uint64_t changes = atomic_load(&clients[i].changes);

        *total += changes + atomic_load(&clients[i].doubled);
        complete = complete && changes >= clients[i].expected;
    }
    return complete;
}

/* Returns when all has arrived, or nothing for quiet_seconds. */
static void WaitForChanges(int quiet_seconds)
{
    uint64_t total = 0, before = 0;
    int64_t since;

    for (since = Now();;)
    {
        bool complete = Complete(&total);
        int64_t now = Now();

        if (total != before)
        {
            before = total;
            since = now;
        }
        if (complete && now - since >= kGraceNs)
            return;
        if (now - since >= (int64_t)quiet_seconds * 1000000000)
            return;
        usleep(kTickMs * 1000);
    }
}

/* Prints what came since the last time, and begins to count anew: the next has what is late. */
static void PrintTotals(void)
{
    uint64_t changes = 0, messages = 0, lost = 0, surplus = 0, resets = 0;
    int64_t first = 0, last = 0;

    for (int i = 0; i < client_count; i++)
    {
        Client *client = &clients[i];
        uint64_t received = atomic_exchange(&client->changes, 0);
        int64_t client_first = atomic_exchange(&client->first_ns, 0);
        int64_t client_last = atomic_exchange(&client->last_ns, 0);

        changes += received;
        messages += atomic_exchange(&client->messages, 0);
        resets += atomic_exchange(&client->resets, 0);
        surplus += atomic_exchange(&client->doubled, 0);
        if (received < client->expected)
            lost += client->expected - received;
        else
            surplus += received - client->expected;
        if (client_first != 0 && (first == 0 || client_first < first))
            first = client_first;
        if (client_last > last)
            last = client_last;
    }
    printf("changes %" PRIu64 " messages %" PRIu64 " lost %" PRIu64 " surplus %" PRIu64
           " resets %" PRIu64 " first %" PRId64 " last %" PRId64 "\n",
           changes, messages, lost, surplus, resets, first, last);
    fflush(stdout);
}

static void WriteRecord(void)
{
    FILE *out = fopen(record_path, "w");

    if (out == NULL)
        Die(record_path, strerror(errno));
    for (size_t i = 0; i < arrival_count; i++)
        fprintf(out, "%" PRId64 " %" PRId64 "\n", arrivals[i].id, arrivals[i].arrived_ns);
    if (fclose(out) != 0)
        Die(record_path, strerror(errno));
}

int main(int argc, char **argv)
{
    pthread_t threads[kMaxThreads];
    const char *conninfo = "";
    int quiet_seconds = 15;
    int option;

    while ((option = getopt(argc, argv, "d:c:j:q:r:")) != -1)
    {
        switch (option)
        {
            case 'd': conninfo = optarg; break;
            case 'c': client_count = atoi(optarg); break;
            case 'j': thread_count = atoi(optarg); break;
            case 'q': quiet_seconds = atoi(optarg); break;
            case 'r': record_path = optarg; break;
            default:
                fprintf(stderr, "usage: listen -d conninfo [-c connections] [-j threads] "
                                "[-q quiet_seconds] [-r record_file] sql...\n");
                return 2;
        }
    }
    if (client_count < 1 || thread_count < 1 || thread_count > kMaxThreads)
        Die("options", "out of range");

    clients = calloc((size_t)client_count, sizeof(Client));
    if (clients == NULL)
        Die("memory", strerror(errno));
    for (int i = 0; i < client_count; i++)
    {
        clients[i].conn = PQconnectdb(conninfo);
        if (PQstatus(clients[i].conn) != CONNECTION_OK)
            Die("connect", PQerrorMessage(clients[i].conn));
        for (int sql = optind; sql < argc; sql++)
            RunSetup(clients[i].conn, argv[sql], i + 1);
    }
    for (int i = 0; i < thread_count; i++)
    {
        if (pthread_create(&threads[i], NULL, ThreadMain, (void *)(intptr_t)i) != 0)
            Die("thread", strerror(errno));
    }
    puts("ready");
    fflush(stdout);

    while (ReadExpectation())
    {
        WaitForChanges(quiet_seconds);
        PrintTotals();
    }

    atomic_store(&stopping, true);
    for (int i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    if (record_path != NULL)
        WriteRecord();
    for (int i = 0; i < client_count; i++)
        PQfinish(clients[i].conn);
    return 0;
}
