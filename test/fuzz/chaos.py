"""What happens beside the sessions.

Owns: the thread that changes definitions, roles and the extension itself, ends sessions, and mends what is missing.
"""

import random
import threading
import time

import psycopg2

import world as definitions
from session import ALLOWED, Problem, check_error


# What runs at commit, such as a deferred trigger, no statement_timeout ends.
TOO_LONG = """SELECT pg_cancel_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND state = 'active' AND query_start < clock_timestamp() - interval '6 s'"""


class Chaos(threading.Thread):
    """One thread, as the superuser."""

    def __init__(self, options, world, stop):
        super().__init__(name="chaos", daemon=True)
        self.rng = random.Random("%s/chaos" % options.seed)
        self.world = world
        self.stop = stop
        self.problem = None
        self.statements = []
        self.repaired = time.monotonic()
        self.cursor = world.connect(name="chaos").cursor()
        self.cursor.execute("SET lock_timeout = '200ms'; SET statement_timeout = '5s'; SET client_min_messages = error")

    def run(self):
        """Goes on until told to stop."""
        try:
            while not self.stop.is_set():
                self._step()
                time.sleep(self.rng.random() * 0.3)
        except Exception as error:  # pylint: disable=broad-except
            self.problem = error
            self.stop.set()

    def _step(self):
        while self.world.victims:
            pid, how = self.world.victims.pop()
            if how == "terminate":
                self.world.ended.add(pid)
            self._try("SELECT pg_%s_backend(%d)" % (how, pid))
        if self.rng.random() < 0.01:
            self._try(self.rng.choice(definitions.EXTENSION))
        elif self.rng.random() < 0.3:
            self._try("BEGIN; %s; %s; %s" % (self._ddl(), self._ddl(),
                                             self.rng.choice(["COMMIT", "COMMIT", "ROLLBACK"])))
        else:
            self._try(self._ddl())
        if time.monotonic() - self.repaired > 1:
            self.cancel_what_takes_long()
            self.world.repair(self.cursor)
            self.repaired = time.monotonic()

    def cancel_what_takes_long(self):
        """Cancels statements; called by the conductor too, once this thread has ended."""
        self._try(TOO_LONG)

    def _ddl(self):
        text = self.rng.choice(definitions.DDL)
        for letter, role in self.world.roles.items():
            text = text.replace("{%s}" % letter, role)
        return text

    def _try(self, text):
        self.statements = self.statements[-20:] + [text]
        try:
            self.cursor.execute(text)
        except psycopg2.Error as error:
            if self.cursor.connection.closed:
                raise Problem("the connection was lost: %s" % error) from error
            check_error(error.pgcode, error.diag.message_primary, ALLOWED)
            self.cursor.execute("ROLLBACK")
