"""One run of the oracle, from making the database to dropping it.

Owns: the world that the threads share, the rhythm of activity and quiet points, and the verdict.
"""

import random
import re
import threading
import time
import traceback
from collections import Counter
from dataclasses import replace
from datetime import datetime, timezone

import psycopg2
import psycopg2.errors

import grammar
import report
import rows
import schema
import shapes
from checks import Checker
from gate import Gate, Pace
from reference import Reference, ReferenceWrong
from past import Past
from relations import Relations
from rights import Warden, at_first
from selects import Accepted, random_select
from story import told_small
from server import DIRTY_LOG, EVALUATORS, HALF_WAY, MUTATION, PATIENT, SHARE_ALL, SMALL, TINY, CannotRun, Server
from subscribers import Client
from writers import Alterations, Prepared, WriteLog, Writer

REST = 300  # seconds that the threads have to come to rest
EXTENSION = "CREATE EXTENSION live_queries"
LONGEST_SLEEP = 20  # milliseconds, of a fault point


class World:
    """What the threads of a run share."""

    def __init__(self, options, server):
        self.options = options
        self.server = server
        self.users = server.create()
        self.tables = schema.tables(self.users)
        self.relations = Relations(options.seed, self.users) if options.shapes in ("any", "mix") else None
        self.shapes = [shape for shape in shapes.STREAM + (shapes.OTHER if options.shapes == "all" else [])
                       if re.search(options.only, shape.name)
                       and not (options.without and re.search(options.without, shape.name))]
        if all(shape.sometimes for shape in self.shapes):
            raise CannotRun("no query is left to subscribe to")
        if all("role" in shape.name for shape in self.shapes):  # of which none is for somebody whose name changes
            self.users = [replace(user, renamed=False) for user in self.users]
        if options.only:  # then writers mostly write what is watched
            watched = {source for shape in self.shapes for source in shape.sources}
            self.tables = {name: replace(table, weight=table.weight * (5 if name in watched else 1))
                           for name, table in self.tables.items()}
        if self.relations:
            alone = options.shapes == "any"  # then writers mostly write what is in the grammar
            self.tables = {name: replace(table, weight=table.weight * (0.1 if alone else 0.5))
                           for name, table in self.tables.items()}
            self.tables.update(self.relations.tables)
        self.deliveries = [options.delivery] if options.delivery else ["notify", "poll"]
        self.pace = Pace(options.delays)
        self.counters = Counter()
        self.counters_lock = threading.Lock()
        self.write_log = WriteLog()
        self.locked = set()  # names of tables that were for long
        self.truncated = set()  # names of tables that somebody emptied, or tried to
        self.accepted = Accepted()
        self.altered = Alterations()
        self.prepared = Prepared(int(server.ask("SHOW max_prepared_transactions")) > 0)
        self.traces = []
        self.failures = []  # (thread name, exception, its text, Trace or None)
        self.stop = threading.Event()

    def stopping(self):
        """Tells the threads whether to end."""
        return self.stop.is_set()

    def journaled(self, name):
        """Tells whether triggers tell of a table, and not the log alone; by its name in the catalog."""
        return any(table.journal and table.name == name for table in self.tables.values())

    def count(self, name, by=1):
        """Counts something for the closing summary."""
        with self.counters_lock:
            self.counters[name] += by

    def fail(self, name, error, trace):
        """Called by a thread that cannot go on."""
        if not self.stopping():
            self.failures.append((name, error, traceback.format_exc(), trace))
            self.stop.set()


class Run:
    """A run with one seed."""

    def __init__(self, options):
        self.options = options
        self.server = Server(options.dsn)
        self.world = None
        self.reference = None
        self.past = None  # with queries of several tables
        self.checker = None
        self.truth_connections = {}
        self.writers = self.clients = ()
        self.writers_gate = self.clients_gate = None
        self.started = time.monotonic()

    def execute(self):
        """Does everything; returns whether no difference was found."""
        print("oracle: seed %s, %s seconds, %s clients, %s writers" % (
            self.options.seed, self.options.seconds, self.options.clients, self.options.writers), flush=True)
        try:
            self._prepare()
            good = self._conduct()
            if self.checker.story and self.options.shrink:
                self._make_small()
            return good
        finally:
            self._end()

    def _make_small(self):
        self._leave()
        try:
            print(told_small(self.server, self.world.relations, self.world.users[0], self.checker.story, self.options.shrink), flush=True)
        except psycopg2.Error as error:
            print("oracle: it could not be made small: %s" % error)

    def _prepare(self):
        options = self.options
        settings = {} if options.reference_only else dict(PATIENT)
        if options.tiny_mailboxes:
            settings.update(TINY)
        if options.small_decoding_mem:
            settings.update(SMALL)
        if options.half_way:
            settings.update(HALF_WAY)
        if options.share_all:
            settings.update(SHARE_ALL)
        if options.evaluators != 1:
            settings[EVALUATORS] = str(options.evaluators)
        if options.dirty_log:
            settings[DIRTY_LOG] = options.dirty_log
        if options.mutation:
            settings[MUTATION] = options.mutation
        self.server.set(settings)
        self.server.use_consumers(options.consumers, options.seed)
        if options.delays and self.server.sleep_at_fault_points(LONGEST_SLEEP):
            print("oracle: every fault point sleeps at random, for %d ms at most" % LONGEST_SLEEP)
        grammar.Grammar.server_version = self.server.admin.server_version // 10000
        self.world = World(options, self.server)
        if not self.world.prepared.enabled:
            print("oracle: max_prepared_transactions is 0: no prepared transactions in this run")
        if not self.server.can_log_in:
            print("oracle: the roles cannot log in here: SET SESSION AUTHORIZATION instead")
        connection = self.server.database()
        with connection.cursor() as cursor:
            cursor.execute(schema.DEFINITIONS)
            if self.world.relations:
                cursor.execute(self.world.relations.definitions("public", real=True))
            Warden.prepare(cursor, self.server, self.world.users)
            if not options.reference_only:
                self._create_extension(cursor)
        self.reference = Reference(connection, self.world.tables, self.server.name, at_first(self.world.users))
        self.reference.adopt()
        if self.world.relations:
            self.past = Past(self.reference, self.world.relations, self.server)
        self.checker = Checker(self.reference, self.world.counters, self._truth, self.past,
                               random.Random("%s/examiner" % options.seed),
                               per_subscription=options.seq_per_subscription, overflows=self.server.is_small(),
                               locked=self.world.locked, truncated=self.world.truncated, altered=self.world.altered)

    @staticmethod
    def _create_extension(cursor):
        try:
            cursor.execute(EXTENSION)
        except psycopg2.errors.FeatureNotSupported as error:
            raise CannotRun(str(error).strip()) from error

    def _conduct(self):
        options, world = self.options, self.world
        rng = random.Random("%s/conductor" % options.seed)
        clients = 0 if options.reference_only else options.clients
        self.writers_gate, self.clients_gate = Gate(options.writers + 1), Gate(clients)
        self.writers = [Writer("writer %d" % n, world, self.writers_gate) for n in range(options.writers)]
        self.writers.append(Warden(world, self.writers_gate))
        self.clients = [Client("client %d" % n, world, self.clients_gate) for n in range(clients)]
        for thread in self.writers + self.clients:
            thread.start()
        end = time.monotonic() + options.seconds
        good = True
        while good and not world.stopping() and time.monotonic() < end:
            world.stop.wait(min(rng.uniform(1, 4), max(0.5, end - time.monotonic())))
            good = self._quiet_point(last=time.monotonic() >= end)
            if good and options.evaluators > 1:
                self.server.set({EVALUATORS: str(rng.randint(2, options.evaluators))})
        good = good and not world.failures
        for failure in world.failures:
            self._report_failure(*failure)
        if options.evaluators > 1 and not options.reference_only:
            world.count("evaluators that have evaluated", self.server.busy_evaluators())
        report.summary(options, world, time.monotonic() - self.started)
        if world.relations:
            report.forms(world)
        compared = world.counters["quiet comparisons"] and world.counters["boundary comparisons"]
        if good and not compared and not options.reference_only:
            print("oracle: FAILED: nothing was compared (seed %s)" % options.seed)
            return False
        if good and options.evaluators > 1 and world.counters["evaluators that have evaluated"] < 2 and not options.reference_only:
            print("oracle: FAILED: all was left to one evaluator (seed %s)" % options.seed)
            return False
        print("oracle: %s (seed %s)" % ("no difference" if good else "FAILED", options.seed), flush=True)
        return good

    def _quiet_point(self, last):
        """Brings all to rest, compares, and lets them go on, or end; returns whether all is well."""
        world = self.world
        good = False
        try:
            if not self._rest(self.writers_gate, "writers"):
                return False
            self._end_prepared()
            if not self._rest(self.clients_gate, "clients"):
                return False
            if world.failures:
                return False
            traces = list(world.traces)
            found = self.checker.quiet_point(traces)
            if self.options.reference_only:
                self._compare_shapes()
            world.traces = [trace for trace in traces if trace in self.checker.connections]
            world.count("quiet points")
            for check, violation in found[:3]:
                print(report.difference(self.options, world, self.reference, check, violation))
            for check, violation in found[:1]:
                print(report.again(self.options, world, check))
            for check, violation in found[3:]:
                print("oracle: and on %s: %s" % (check.trace.name, violation))
            good = not found
            return good
        finally:
            if last or not good:
                world.stop.set()
            self.writers_gate.open()
            self.clients_gate.open()

    def _rest(self, gate, who):
        if gate.close(REST):
            return True
        print("oracle: the %s did not come to rest within %d seconds" % (who, REST))
        for trace in self.world.traces:
            print("\n".join(report.last_events(trace, trace.events[-15:])))
        return False

    def _end_prepared(self):
        rng = random.Random("%s/prepared/%s" % (self.options.seed, self.world.counters["quiet points"]))
        while True:
            name = self.world.prepared.take(rng)
            if name is None:
                return
            with self.reference.connection.cursor() as cursor:
                cursor.execute("%s PREPARED %s" % (rng.choice(["COMMIT", "ROLLBACK"]), schema.literal(name)))

    def _truth(self, query, clock=None):
        """Returns what SELECT gives to the query's user, at a time if it asks that: a Counter of rows. A view and row security can
        be told the time in the past alone; None: that takes too long."""
        if query.whole and query.asks_below:
            return self.past.result(query, len(self.reference.replay.lsns) - 1, clock)
        connection = self.truth_connections.get(query.user)
        if connection is None:
            connection = self.truth_connections[query.user] = self.server.connect_as(query.user, "oracle truth")
            if query.user.login:
                with connection.cursor() as cursor:
                    cursor.execute("SET ROLE %s" % schema.identifier(query.user.name))
        with connection.cursor() as cursor:
            cursor.execute("SELECT row_to_json(q)::text FROM (%s) AS q" % query.plain_sql(self.world.tables, *filter(None, [clock])))
            return Counter(rows.row_from(text) for (text,) in cursor)

    def _truth_if_allowed(self, query, otherwise):
        """The same, of who may have lost the right to ask."""
        try:
            return self._truth(query)
        except psycopg2.errors.InsufficientPrivilege:
            if not query.source_table(self.world.tables).rights:
                raise
            return otherwise

    def _compare_shapes(self):
        """Without the extension: the reference's results have to be what SELECT gives, for every shape."""
        rng = random.Random("%s/shapes/%s" % (self.options.seed, self.world.counters["quiet points"]))
        for shape in [shape for shape in shapes.STREAM if not shape.guarded]:
            for user in self.world.users:
                query = shapes.Query(shape, shape.params(rng), user)
                base = self.reference.timeline(query).base
                got = base if isinstance(base, Counter) else Counter(base.values())
                if got != self._truth_if_allowed(query, got):
                    raise ReferenceWrong("shape %s with %s as %s" % (shape.name, query.params, user.name))
                self.world.count("quiet comparisons")
        self.reference.cache = {}
        self._compare_selects(rng)

    def _compare_selects(self, rng):
        """And for queries of several tables what they give in the past, before this interval and at its end."""
        if not self.past:
            return
        self.past.begin()
        for _ in range(20):
            query = random_select(rng, rng.choice(self.world.users), self.world)
            clock = datetime.now(timezone.utc) if query.refresh_every else None
            before = self.past.result(query, self.past.index, clock)
            got = self.past.result(query, len(self.reference.replay.lsns) - 1, clock)
            if None not in (before, got) and not query.asks_below:
                if got != self._truth(query, clock):
                    raise ReferenceWrong("%s with %s as %s" % (query.text, query.params, query.user.name))
                self.world.count("quiet comparisons of any select")
        self.past.end()

    def _report_failure(self, name, error, text, trace):
        """What led to it may be a difference that no quiet point has come to yet: then that is told first."""
        check = self.checker.connections.get(trace)
        try:
            if trace is not None:
                check, violation = self.checker.look_back(trace)
                if violation:
                    print(report.difference(self.options, self.world, self.reference, check, violation))
        except (psycopg2.Error, ReferenceWrong) as broken:
            print("oracle: what was true then could not be read: %s" % broken)
        print(report.failure(self.world, self.reference, check, name, error, trace))
        print(text)

    def _leave(self):
        """Ends the threads and their connections."""
        if self.world:
            self.world.stop.set()
        for gate in (self.writers_gate, self.clients_gate):
            if gate:
                gate.open()
        threads = [thread for thread in list(self.writers) + list(self.clients) if thread.ident]
        deadline = time.monotonic() + 10
        for thread in threads:
            thread.join(max(0, deadline - time.monotonic()))
        # a thread that is stuck in a call holds its connection's lock: dropping the database ends that one
        for thread in threads:
            if not thread.is_alive():
                thread.close()

    def _end(self):
        self._leave()
        for connection in self.truth_connections.values():
            connection.close()
        if self.past:
            self.past.close()
        if self.reference:
            self.reference.connection.close()
        for text in self.server.close():
            print("oracle: left behind: %s" % text)
