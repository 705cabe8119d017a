"""One client connection: the calls of live_queries, and the record of what they did and what came.

Owns: the order in which calls and messages enter the trace. Messages that arrive while a call runs are recorded
after the call's own event and before the event that says it is done. Used by one thread.
"""

import json
import os
import select
import socket
import time
from dataclasses import replace

import psycopg2.errors

import rows
import schema
from state import Violation
from traces import Subscription, Trace

PATIENCE = 120  # seconds for what has to come


def lsn_number(text):
    """Returns a WAL position such as 0/16B3748 as a number."""
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def params_text(query):
    """Returns the parameters of a query as an array."""
    return "ARRAY[%s]::text[]" % ", ".join(map(schema.literal, query.params))


def set_params_text(subscription, query):
    """Returns the statement that gives a subscription the parameters of a query."""
    return "SELECT live.set_params(%s, %s)" % (schema.literal(subscription.id), params_text(query))


class Session:
    """A connection with its subscriptions."""

    def __init__(self, server, tables, user, delivery, name):
        self.server = server
        self.tables = tables
        self.trace = Trace(name, user, delivery)
        self.connection = server.connect_as(user, name)
        self.next_consumer = server.consumers_for(name)
        self.subscriptions = {}
        self.channel = None
        self.in_transaction = False
        self.uncommitted = []  # subscriptions of the open transaction
        self.unjoined = []     # whose snapshot was read in it
        self.asked = []        # those of the open transaction that get other parameters
        self.renewing = set()  # ids of those that may still be told what that changes
        self.in_vain = {}      # what it did that is rolled back: subscription -> the last call that changed anything
        self.given = {}        # and the last query whose parameters it got by that
        self.shares = False    # messages
        self.trace.add("note", None, "connected as %s, backend %d, delivery %s" % (
            user.name, self.connection.info.backend_pid, delivery))

    def run(self, text, then=None):
        """Runs a statement; then(result) is called before the messages that came meanwhile are recorded."""
        self.receive()
        self.trace.running = text
        with self.connection.cursor() as cursor:
            cursor.execute(text)
            result = cursor.fetchall() if cursor.description else []
        if then:
            then(result)
        self._collect()
        return result

    def run_as_role(self, text, then=None):
        """The same, where the session's role may be another than the subscriptions': as theirs, for this time."""
        if not self.trace.user.login:
            return self.run(text, then)
        alone = not self.in_transaction
        if alone:
            self.run("BEGIN")
        try:
            self.run("SET LOCAL ROLE %s" % schema.identifier(self.trace.user.name))
            result = self.run(text, then)
        except psycopg2.Error:
            if alone:
                self.run("ROLLBACK")
            raise
        self.run("COMMIT" if alone else "SET LOCAL ROLE none")
        return result

    def share_messages(self):
        """From here on, what several subscriptions get alike is one notification."""
        self.run("SET live_queries.share_messages = on")
        self.shares = True

    def receive(self, timeout=0):
        """Records the notifications that have come; waits up to timeout for the first."""
        if select.select([self.connection], [], [], timeout)[0]:
            self.connection.poll()
        self._collect()

    def poll(self, max_messages=None, timeout=0):
        """Calls live.poll; returns how many messages came."""
        result = self.run("SELECT seq, subscription_id, message::text FROM live.poll(%s, '%s s')" % (
            "NULL" if max_messages is None else max_messages, timeout))
        for seq, name, text in result:
            message = self._record(text)
            if (seq, name) != (message.get("seq"), message.get("subscription_id")):
                raise Violation("live.poll gave %s %s beside %s" % (seq, name, rows.shorten(text, 300)))
        return len(result)

    def subscribe(self, name, query, snapshot=True, throttle=0):
        """Subscribes; returns the Subscription."""
        return self._subscribe_by(self.subscribe_text(name, query, snapshot, throttle), [(name, query, snapshot, throttle)])[0]

    def subscribe_many(self, asked):
        """Subscribes to all that are asked for, each (name, query, snapshot, throttle), in one call; returns the Subscriptions."""
        return self._subscribe_by(self.subscribe_many_text(asked), asked)

    def _subscribe_by(self, text, asked):
        made = []

        def then(result):
            if len(result) != len(asked) or len({row[3] for row in result}) != 1:
                raise Violation("%d rows for %d live queries, at %s" % (len(result), len(asked), [row[3] for row in result]))
            for row, one in zip(result, asked):
                self._note_subscribed(made, row, *one)

        choice = self.next_consumer()
        if choice:
            self.run(choice)
        try:
            self.run_as_role(text, then)
        except psycopg2.Error:
            for subscription in made:  # the rest of a first result was read at commit, and failed
                self.trace.add("forgotten", subscription)
                del self.subscriptions[subscription.id]
            raise
        return made

    def _note_subscribed(self, made, row, name, query, snapshot, throttle):
        live_id, channel, strategy, seq, *clock = row
        if self.channel not in (None, channel):
            raise Violation("the channel changed from %s to %s" % (self.channel, channel))
        if len(seq) != 16:
            raise Violation("subscribe returned the seq %s" % seq)
        self.channel = channel
        table = query.source_table(self.tables)
        full = query.all_full(self.tables) or strategy != "stream"
        subscription = Subscription(name, query, bool(table.key) if query.shape.pointwise else True, full,
                                    snapshot, query.table_names(self.tables), query.is_parted(self.tables), live_id,
                                    strategy, unread=snapshot, throttle=throttle, alarm="by an alarm" in str(clock),
                                    endangered=query.endangered(self.tables))
        made.append(subscription)
        self.subscriptions[name] = subscription
        self.trace.add("subscribed", subscription, int(seq, 16))
        if self.in_transaction:
            self.uncommitted.append(subscription)
        else:
            self.trace.add("committed", subscription)

    def _clock_text(self, query):
        """Returns the expression that tells how a query follows the clock, or None if its rows tell the time or there is none."""
        if not query.whole or not query.refresh_every or query.shows_clock:
            return None
        return "(SELECT e.value FROM live.explain(%s, %s) AS e WHERE e.property = 'clock')" % (
            schema.literal(query.subscribed_sql(self.tables)), params_text(query))

    def subscribe_many_text(self, asked):
        """Returns the statement that subscribes to all that are asked for in one call."""
        objects = []
        clocks = []
        for number, (name, query, snapshot, throttle) in enumerate(asked, 1):
            one = {"subscription_id": name, "query": query.subscribed_sql(self.tables), "params": list(query.params),
                   "snapshot": snapshot, "delivery": self.trace.delivery}
            if query.whole and query.refresh_every:
                one["refresh_every"] = str(query.refresh_every)
            if throttle:
                one["throttle"] = "%s s" % throttle
            objects.append(one)
            if self._clock_text(query):
                clocks.append("WHEN %d THEN %s" % (number, self._clock_text(query)))
        return "SELECT s.live_id, s.channel, s.strategy, s.seq%s FROM live.subscribe_many(%s) WITH ORDINALITY AS s ORDER BY s.ordinality" % (
            ", CASE s.ordinality %s END" % " ".join(clocks) if clocks else "", schema.literal(json.dumps(objects)))

    def subscribe_text(self, name, query, snapshot=True, throttle=0):
        """Returns the statement that subscribes, and tells how the query follows the clock if its rows do not tell the time."""
        text, params = schema.literal(query.subscribed_sql(self.tables)), ", ".join(map(schema.literal, query.params))
        clock = self._clock_text(query)
        clock = ", %s" % clock if clock else ""
        return ("SELECT s.live_id, s.channel, s.strategy, s.seq%s FROM live.subscribe(%s, %s, ARRAY[%s]::text[], \"snapshot\" => %s, delivery => '%s'%s) AS s" % (
                    clock, schema.literal(name), text, params, snapshot, self.trace.delivery,
                    (", refresh_every => '%s'" % query.refresh_every if query.whole and query.refresh_every else "")
                    + (", throttle => '%s s'" % throttle if throttle else "")))

    def read(self, subscription, max_rows=None, failing_row=None):
        """Reads a batch of the snapshot. failing_row: the statement fails if it comes to that row, and then has read
        nothing; 0: it does not fail, but its savepoint or transaction will be rolled back."""
        def then(result):
            if failing_row == 0:
                self.trace.add("note", subscription, "read %d rows, in vain" % len(result))
                return
            self.trace.add("rows", subscription, [row[:2] for row in result])
            if max_rows is None or len(result) < max_rows:
                self.trace.add("read", subscription)
                subscription.unread = False
                # Nothing is on its way that was sent before: it comes by live.poll alone.
                if self.trace.delivery == "poll" and subscription not in self.uncommitted and not subscription.paused:
                    self.trace.add("joined", subscription)
                else:
                    self.unjoined.append(subscription)

        text = 'SELECT key::text, "row"::text%s FROM live.snapshot(%s, %s)' % (
            ", 1 / (row_number() OVER () - %d)" % failing_row if failing_row else "",
            schema.literal(subscription.id), "NULL" if max_rows is None else max_rows)
        try:
            self.run(text, then)
        except psycopg2.errors.DivisionByZero:
            if not failing_row:
                raise
            self.trace.add("note", subscription, "read, and failed at row %d" % failing_row)
        if not self.in_transaction:
            self._join()

    def pause(self, subscription):
        """Pauses."""
        self._call("pausing", "paused", "live.pause", subscription)
        subscription.paused = True

    def resume(self, subscription):
        """Resumes; what was missed may come with the call itself."""
        subscription.paused = False
        self._call("resuming", "resumed", "live.resume", subscription)

    def set_params(self, subscription, query):
        """Asks for other parameters, those of query; what that changes may come with the call itself. Returns whether
        they were accepted; in a transaction, the caller has made the savepoint p."""
        successor = replace(subscription, query=query)
        self.receive()
        self.trace.add("asking", subscription, successor)
        try:
            self.run(set_params_text(subscription, query))
        except psycopg2.Error as error:
            self.trace.add("refused", subscription)
            lost = error.pgcode == "55000" and any(why in str(error) for why in
                                                 ("has been reset", "has ended", "depends on has changed"))
            if not (lost or subscription.over or (query.whole and error.pgcode == "0A000")
                    or "would change at once" in str(error)):
                raise
            return False
        if subscription.over:
            return True
        self.subscriptions[subscription.id] = successor
        # What came with the call has come for its client as well.
        for name in ("broken", "killed"):
            setattr(successor, name, getattr(subscription, name))
        self.renewing.add(subscription.id)
        if self.in_transaction:
            self.asked.append(successor)
        else:
            self.trace.add("asked", successor)
        ((successor.strategy,),) = self.run_as_role(
            "SELECT strategy FROM live_queries WHERE pid = pg_backend_pid() AND subscription_id = %s"
            " ORDER BY params IS NOT DISTINCT FROM %s DESC LIMIT 1" % (
                schema.literal(subscription.id), params_text(query))) or (("",),)
        successor.full = query.all_full(self.tables) or (query.whole and successor.strategy != "stream")
        return True

    def refresh(self, subscription):
        """Asks for a new snapshot."""
        self._call("refreshing", "refreshed", "live.refresh", subscription)
        subscription.unread, subscription.broken = True, False

    def leave(self, subscription):
        """Unsubscribes; a second call has to say that there was none."""
        result = self._call("leaving", "left", "live.unsubscribe", subscription)
        self.subscriptions.pop(subscription.id, None)
        if result is not True and not subscription.endangered:
            raise Violation("unsubscribe of %s returned %s" % (subscription.id, result))
        if self.run("SELECT live.unsubscribe(%s)" % schema.literal(subscription.id))[0][0] is not False:
            raise Violation("a second unsubscribe of %s did not return false" % subscription.id)

    def leave_all(self):
        """Ends all subscriptions."""
        self._end_all("SELECT live.unsubscribe_all()")

    def unlisten(self, text):
        """Stops listening to anything, by UNLISTEN * or DISCARD ALL, which ends the subscriptions too."""
        self._end_all(text)
        self.channel = None
        self.server.set_session(self.connection, self.trace.user)

    def kill(self, subscription, by=None):
        """Kills one subscription of this session, through another one if given."""
        self.receive()
        self.trace.add("killing", subscription)
        subscription.killed = True
        ((done,),) = (by or self).run_as_role("SELECT live.kill(%s)" % schema.literal(subscription.live_id))
        if done is not True:
            raise Violation("kill of %s returned %s" % (subscription.live_id, done))

    def begin(self):
        """Opens a transaction."""
        self.run("BEGIN")
        self.trace.add("note", None, "BEGIN")
        self.in_transaction = True

    def commit(self):
        """Commits; from here on messages of the new subscriptions may come."""
        self._join()
        self.receive()
        self.trace.add("note", None, "COMMIT")
        for subscription in self.uncommitted:
            self.trace.add("committed", subscription)
        for subscription in self.asked:
            self.trace.add("asked", subscription)
        self.uncommitted, self.asked, self.in_transaction = [], [], False
        self.run("COMMIT")

    def rollback(self, savepoint=None):
        """Rolls back; the subscriptions made since never were."""
        def then(_):
            self.trace.add("note", None, "ROLLBACK")
            for subscription in self.uncommitted:
                self.trace.add("forgotten", subscription)
                del self.subscriptions[subscription.id]
                if subscription in self.unjoined:
                    self.unjoined.remove(subscription)
            self.uncommitted = []
            self.in_transaction = savepoint is not None

        self.run("ROLLBACK TO %s" % savepoint if savepoint else "ROLLBACK", then)

    def call_in_vain(self, subscription, function, query=None):
        """Calls live.pause, resume, unsubscribe, refresh or set_params in a transaction that take_back ends."""
        if subscription not in self.in_vain:
            self.trace.add("leaving", subscription)
            self.in_vain[subscription] = None
        changes = True
        if query:
            self.run(set_params_text(subscription, query))
            changes = query.params != self.given.get(subscription, subscription.query).params
            self.given[subscription] = query
        else:
            self.run("SELECT live.%s(%s)" % (function, schema.literal(subscription.id)))
        self.trace.add("note", None, "live.%s %s, in vain" % (function, subscription.id))
        if changes:
            self.in_vain[subscription] = function

    def poll_in_vain(self, max_messages):
        """Polls in such a transaction: the messages come again, but for none that it has silenced."""
        result = self.run("SELECT subscription_id, message ->> 'type' FROM live.poll(%s)" % max_messages)
        silent = [s.id for s, function in self.in_vain.items() if function not in ("resume", None)]
        self.trace.add("note", None, "live.poll, in vain: %s" % ", ".join(name or "progress" for name, _ in result))
        for name, kind in result:
            if name in silent and kind != "terminated":
                raise Violation("live.poll gave %s for %s, which its transaction has silenced" % (kind, name))

    def take_back(self, savepoint=None):
        """Rolls back what was called in vain: the subscriptions go on as they were."""
        self.run("ROLLBACK TO %s" % savepoint if savepoint else "ROLLBACK")
        self.trace.add("note", None, "ROLLBACK")
        self.in_transaction = savepoint is not None
        self.run("SELECT 1")
        for subscription in self.in_vain:
            if not subscription.over:
                self.trace.add("stayed", subscription)
        self.in_vain, self.given = {}, {}

    def wait(self):
        """Waits until everything committed has reached the mailbox."""
        if self.run("SELECT live.wait_for(timeout => '%d s')" % PATIENCE)[0][0] is not True:
            raise Violation("live.wait_for gave up after %d seconds" % PATIENCE)

    def drain(self):
        """Receives everything that was committed; the subscriptions that may receive are given by their flags."""
        self.wait()
        self._await_throttled()
        deadline = time.monotonic() + PATIENCE
        while self._incomplete():
            if time.monotonic() > deadline:
                raise Violation("messages are pending after %d seconds, and do not come" % PATIENCE)
            self.receive(0.02)
        self.renewing &= {s.id for s in self.subscriptions.values() if s.paused}
        self.trace.add("drained")

    def check_view(self):
        """Compares the view with what this session knows of itself."""
        seen = dict(self.run_as_role("SELECT subscription_id, status FROM live_queries"
                             " WHERE pid = pg_backend_pid() AND status <> 'terminated'"))
        known = {name: "paused" if subscription.paused else "active"
                 for name, subscription in self.subscriptions.items()}
        if seen != known:
            raise Violation("live_queries shows %s, but the client has %s" % (seen, known))

    def close(self, abruptly=False):
        """Ends the connection, with or without saying so."""
        if abruptly:
            raw = socket.socket(fileno=os.dup(self.connection.fileno()))
            raw.shutdown(socket.SHUT_RDWR)
            raw.close()
        self.connection.close()
        self.subscriptions = {}
        self.trace.add("closed")

    def _await_throttled(self):
        """Takes what is there, and once more when the time of all that is gathered has come."""
        longest = max((s.throttle for s in self.subscriptions.values() if not (s.unread or s.paused or s.broken)), default=0)
        if longest:
            self._incomplete()
            time.sleep(longest + 0.01)
            self.run("SELECT 1")

    def _incomplete(self):
        """Asks once more for what is there; tells whether there may be more."""
        killed = any(s.killed for s in self.subscriptions.values())
        if self.trace.delivery == "poll":
            return self.poll() > 0 or killed
        names = [s.id for s in self.subscriptions.values() if not (s.unread or s.paused or s.broken)]
        if not names:
            return False
        ((pending,),) = self.run_as_role(
            "SELECT coalesce(sum(pending_messages), 0) FROM live_queries WHERE pid = pg_backend_pid()"
            " AND status = 'active' AND subscription_id IN (%s)" % ", ".join(map(schema.literal, names)))
        return pending > 0 or killed

    def _call(self, before, after, function, subscription):
        self.receive()
        self.trace.add(before, subscription)
        ((lsn, result),) = self.run("SELECT pg_current_wal_insert_lsn()::text, %s(%s)" % (
            function, schema.literal(subscription.id)))
        if not subscription.over:
            self.trace.add(after, subscription, lsn_number(lsn))
        return result

    def _end_all(self, text):
        self.receive()
        ended = list(self.subscriptions.values())
        for subscription in ended:
            self.trace.add("leaving", subscription)
        self.trace.add("note", None, text)
        self.run(text)
        for subscription in ended:
            if not subscription.over:
                self.trace.add("left", subscription)
        self.subscriptions = {}

    def _join(self):
        joining, self.unjoined = self.unjoined, []
        joining = [s for s in joining if s.id in self.subscriptions and not (s.paused or s.unread or s.over)]
        for subscription in joining:
            self.trace.add("joined", subscription)

    def _collect(self):
        while self.connection.notifies:
            notification = self.connection.notifies.pop(0)
            if notification.channel != self.channel:
                raise Violation("a notification on the channel %s: %s" % (
                    notification.channel, rows.shorten(notification.payload, 300)))
            self._record_shared(notification.payload)

    def _record_shared(self, text):
        """A message for several subscriptions is one for each of them, of which more follows until the last."""
        message = rows.parse(text)
        ids = message.pop("subscription_ids", None)
        if ids is None:
            return self._record(text)
        if not (self.shares and message["type"] == "changes" and len(ids) > 1 and len(ids) == len(set(ids)) and "subscription_id" not in message):
            raise Violation("a message for %s: %s" % (ids, rows.shorten(text, 300)))
        for one in ids:
            self._note({**message, "subscription_id": one, "more": message["more"] or one != ids[-1]}, text)
        return None

    def _record(self, text):
        return self._note(rows.parse(text), text)

    def _note(self, message, text):
        self.trace.add("message", None, message, text)
        subscription = self.subscriptions.get(message.get("subscription_id"))
        if message.get("type") == "changes" and message.get("xid") is None and "xids" not in message:
            self.renewing.discard(message.get("subscription_id"))
        if subscription and message.get("type") == "reset":
            subscription.broken = True
        if subscription and message.get("type") == "terminated":
            subscription.over = True
            del self.subscriptions[subscription.id]
        return message
