/*
 * write.c
 *   The writing side of the latency benchmark: single-row commits at a rate.
 *
 * Commits -n transactions at -r a second, spread evenly over -j connections (a
 * single one cannot reach 1,000 a second where a flush takes a millisecond).
 * The SQL is what stands before COMMIT, "%i" replaced by the row's id, from 1.
 * Each COMMIT's start and return are written to -o as "id start_ns return_ns",
 * CLOCK_MONOTONIC, to be joined with listen.c's record by the id.
 *
 * Transactions start at fixed points of time, not after the one before, so a
 * slow one delays none that others would have made (no coordinated omission
 * but on its own connection). The last line of output is the rate achieved.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

enum
{
    kMaxThreads = 16,
    kLongestSql = 1024,
};

typedef struct
{
    int64_t start_ns;
    int64_t return_ns;
} Commit;

static const char *conninfo = "";
static const char *sql_template;
static double rate = 100;
static int64_t commit_count = 100;
static int thread_count = 1;
static int64_t origin_ns; /* when the first transaction is due */
static Commit *commits;   /* by id - 1; each written by one thread */
static PGconn *connections[kMaxThreads];

static int64_t Now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void Die(const char *what, const char *detail)
{
    fprintf(stderr, "write: %s: %s\n", what, detail);
    exit(1);
}

static void SleepUntil(int64_t due_ns)
{
    struct timespec due = {.tv_sec = due_ns / 1000000000, .tv_nsec = due_ns % 1000000000};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR)
        ;
}

static void Execute(PGconn *conn, const char *sql)
{
    PGresult *result = PQexec(conn, sql);

    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        Die(sql, PQerrorMessage(conn));
    PQclear(result);
}

/* Writes "BEGIN; <sql with the id>" into buffer. */
static void FormatStatement(char *buffer, int64_t id)
{
    const char *mark = strstr(sql_template, "%i");
    int written;

    if (mark == NULL)
        Die(sql_template, "lacks %i");
    written = snprintf(buffer, kLongestSql, "BEGIN; %.*s%" PRId64 "%s",
                       (int)(mark - sql_template), sql_template, id, mark + 2);
    if (written >= kLongestSql)
        Die(sql_template, "too long");
}

/* A connection's share: every thread_count'th transaction. */
static void *ThreadMain(void *argument)
{
    int thread = (int)(intptr_t)argument;
    PGconn *conn = connections[thread];
    char sql[kLongestSql];

    for (int64_t i = thread; i < commit_count; i += thread_count)
    {
        FormatStatement(sql, i + 1);
        SleepUntil(origin_ns + (int64_t)((double)i * 1e9 / rate));
        Execute(conn, sql);
        commits[i].start_ns = Now();
        Execute(conn, "COMMIT");
        commits[i].return_ns = Now();
    }
    return NULL;
}

static void WriteCommits(const char *path)
{
    FILE *out = fopen(path, "w");
    int64_t last = 0;

    if (out == NULL)
        Die(path, strerror(errno));
    for (int64_t i = 0; i < commit_count; i++)
    {
        fprintf(out, "%" PRId64 " %" PRId64 " %" PRId64 "\n", i + 1, commits[i].start_ns,
                commits[i].return_ns);
        if (commits[i].return_ns > last)
            last = commits[i].return_ns;
    }
    if (fclose(out) != 0)
        Die(path, strerror(errno));
    printf("rate %.1f\n", (double)commit_count * 1e9 / (double)(last - origin_ns));
}

int main(int argc, char **argv)
{
    pthread_t threads[kMaxThreads];
    const char *out_path = NULL;
    int option;

    while ((option = getopt(argc, argv, "d:r:n:j:o:")) != -1)
    {
        switch (option)
        {
            case 'd': conninfo = optarg; break;
            case 'r': rate = atof(optarg); break;
            case 'n': commit_count = atoll(optarg); break;
            case 'j': thread_count = atoi(optarg); break;
            case 'o': out_path = optarg; break;
            default: out_path = NULL; optind = argc; break;
        }
    }
    if (out_path == NULL || optind != argc - 1 || rate <= 0 || commit_count < 1 ||
        thread_count < 1 || thread_count > kMaxThreads)
    {
        fprintf(stderr, "usage: write -d conninfo -o file [-r rate] [-n count] [-j connections] sql\n");
        return 2;
    }
    sql_template = argv[optind];

    commits = calloc((size_t)commit_count, sizeof(Commit));
    if (commits == NULL)
        Die("memory", strerror(errno));
    for (int i = 0; i < thread_count; i++)
    {
        connections[i] = PQconnectdb(conninfo);
        if (PQstatus(connections[i]) != CONNECTION_OK)
            Die("connect", PQerrorMessage(connections[i]));
    }
    origin_ns = Now() + 10000000;
    for (int i = 0; i < thread_count; i++)
    {
        if (pthread_create(&threads[i], NULL, ThreadMain, (void *)(intptr_t)i) != 0)
            Die("thread", strerror(errno));
    }
    for (int i = 0; i < thread_count; i++)
        pthread_join(threads[i], NULL);
    WriteCommits(out_path);
    for (int i = 0; i < thread_count; i++)
        PQfinish(connections[i]);
    return 0;
}
