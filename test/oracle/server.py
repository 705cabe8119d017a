"""The server: settings, a database and roles of the oracle's own, connections.

Owns: everything that has to be undone at the end, and undoes it.
"""

import os
import random
import time
from dataclasses import replace

import psycopg2
import psycopg2.errors
from psycopg2 import extensions

import schema

TINY = {"live_queries.mailbox_size": "64kB", "live_queries.spill_size": "256kB"}
SMALL = {"logical_decoding_work_mem": "64kB"}
MUTATION = "live_queries.debug_mutation"
# No query here takes long by itself, and a writer gives up before a client does that waits in a circle with it.
PATIENT = {"live_queries.evaluation_timeout": "60000ms", "deadlock_timeout": "10000ms"}
HALF_WAY = {"live_queries.test_half_way": "on"}
SHARE_ALL = {"live_queries.test_share_all": "on"}
DIRTY_LOG = "live_queries.test_dirty_log_size"
EVALUATORS = "live_queries.evaluators"
CONSUMER = "live_queries.test_consumer"
ROOMS = ["live_queries.mailbox_size", "live_queries.spill_size", "live_queries.memory_limit"]
# No part of the extension, and in the library of a build with fault points alone.
SET_FAULT = """BEGIN;
CREATE FUNCTION pg_temp.fault_set(text, text, integer, integer) RETURNS void AS 'live_queries', 'live_queries_fault_set'
    LANGUAGE C STRICT;
SELECT pg_temp.fault_set(%s);
ROLLBACK"""


class CannotRun(Exception):
    """The server lacks what was asked for."""


def clashed(error):
    """Tells whether a statement failed because another session changed the same row of a catalog: the one internal
    error that may come. What did so may be tried again."""
    return error.pgcode == "XX000" and str(error).startswith("tuple concurrently ")


class Server:
    """A server reached by a dsn, as a superuser."""

    def __init__(self, dsn):
        self.dsn = dsn or ""
        self.name = "oracle_%d_%d" % (os.getpid(), int(time.time() * 10) % 1000000)
        self.password = os.urandom(12).hex()
        self.admin = self.connect()
        self.settings = []
        self.sleeping = False  # the fault points
        self.consumers = 1     # workers to which subscriptions belong at random,
        self.seed = 0          # as this says
        self.roles = []
        self.created = False
        self.can_log_in = True
        if not self.ask("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
            raise CannotRun("the oracle has to connect as a superuser")
        if self.ask("SHOW wal_level") != "logical":
            raise CannotRun("wal_level has to be logical")

    def connect(self, **more):
        """Returns a connection in autocommit mode, as the dsn and the environment say."""
        connection = psycopg2.connect(extensions.make_dsn(self.dsn, **more))
        connection.autocommit = True
        return connection

    def ask(self, text):
        """Runs a statement as the superuser in the maintenance database; returns the first value, if any."""
        with self.admin.cursor() as cursor:
            cursor.execute(text)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    def set(self, settings):
        """Sets server settings until close()."""
        for name, value in settings.items():
            context = self.ask("SELECT context FROM pg_settings WHERE name = %s" % schema.literal(name))
            if context is None:
                raise CannotRun("the server has no setting %s" % name)
            if context == "postmaster":
                raise CannotRun("the setting %s cannot be changed without a restart" % name)
            try:
                self.ask("ALTER SYSTEM SET %s = %s" % (name, schema.literal(value)))
            except psycopg2.Error as error:
                raise CannotRun(str(error)) from error
            self.settings.append(name)
        self._reload(settings)

    def is_small(self):
        """Tells whether there is less room for messages than by default; that is more than a run can fill."""
        return self.ask("SELECT bool_or(setting::bigint < boot_val::bigint) FROM pg_settings WHERE name IN (%s)"
                        % ", ".join(map(schema.literal, ROOMS)))

    def sleep_at_fault_points(self, most_ms):
        """Lets every fault point sleep at random until close(); returns whether this build has any."""
        try:
            self.ask(SET_FAULT % ("'*', 'sleep', %d, -1" % most_ms))
        except (psycopg2.errors.UndefinedFunction, psycopg2.errors.UndefinedFile):
            self.ask("ROLLBACK")
            return False
        self.sleeping = True
        return True

    def use_consumers(self, count, seed):
        """Lets subscriptions belong to that many workers at random."""
        if count > 1 and not self.ask("SELECT count(*) FROM pg_settings WHERE name = '%s'" % CONSUMER):
            raise CannotRun("the server has no setting %s" % CONSUMER)
        self.consumers, self.seed = count, seed

    def consumers_for(self, name):
        """Returns a function that gives the statement before the next subscribe of a session; None: no statement."""
        if self.consumers == 1:
            return lambda: None
        rng = random.Random("%s/consumers/%s" % (self.seed, name))
        return lambda: "SET %s = %d" % (CONSUMER, rng.randrange(self.consumers))

    def busy_evaluators(self):
        """Returns how many evaluators of the oracle's database have evaluated something, since they run."""
        connection = self.database()
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM live.workers WHERE kind = 'evaluator' AND database = current_database() AND evaluations > 0")
            (count,) = cursor.fetchone()
        connection.close()
        return count

    def create(self):
        """Makes the database and the roles; returns the users that subscribe."""
        self.ask("CREATE DATABASE %s" % self.name)
        self.created = True
        users = [schema.User(self.ask("SELECT current_user"), 1, True)]
        for letter, tenant, timezone in (("a", 1, "Asia/Kolkata"), ("b", 2, "America/New_York"), ("c", 3, "Europe/Berlin"),
                                         ("d", 2, "Asia/Tokyo")):
            role = self._create_role(letter)
            users.append(schema.User(role, tenant, False, timezone, renamed=letter == "c"))
        gateway = self._create_role("gateway")
        self.ask("ALTER ROLE %s NOINHERIT" % schema.identifier(gateway))
        self.ask("GRANT %s TO %s" % (schema.identifier(users[1].name), schema.identifier(gateway)))
        users.append(replace(users[1], timezone="Pacific/Chatham", login=gateway))
        self.group = self._create_role("group")
        try:
            self.connect(dbname=self.name, user=users[1].name, password=self.password).close()
        except psycopg2.OperationalError:
            self.can_log_in = False
        return users

    def _create_role(self, letter):
        role = "%s-%s" % (self.name, letter)  # a dash: live_id is made of names with dashes
        self.ask("CREATE ROLE %s LOGIN PASSWORD '%s'" % (schema.identifier(role), self.password))
        self.roles += [role] + [role + schema.RENAMED] * (letter == "c")
        return role

    def connect_as(self, user, name):
        """Returns a connection of a user to the oracle's database."""
        if user.superuser:
            connection = self.connect(dbname=self.name, application_name=name)
        elif self.can_log_in:
            connection = self.connect(dbname=self.name, user=user.login or user.name, password=self.password,
                                      application_name=name)
        else:
            connection = self.connect(dbname=self.name, application_name=name)
        self.set_session(connection, user)
        return connection

    def set_session(self, connection, user):
        """Makes the settings of a user's connection, again after DISCARD ALL."""
        with connection.cursor() as cursor:
            if not user.superuser and not self.can_log_in:
                cursor.execute("SET SESSION AUTHORIZATION %s" % schema.identifier(user.login or user.name))
            cursor.execute("SET timezone = '%s'" % user.timezone)
            cursor.execute("SET app.tenant = '%d'" % user.tenant)

    def database(self):
        """Returns a connection of the superuser to the oracle's database."""
        connection = self.connect(dbname=self.name, application_name="oracle")
        with connection.cursor() as cursor:
            cursor.execute("SET timezone = 'UTC'")
        return connection

    def close(self):
        """Drops and resets everything; returns a list of what could not be. The server may have crashed meanwhile."""
        left = []
        if not self._reconnect():
            return ["everything: the server is gone"]
        if self.sleeping:
            self.ask(SET_FAULT % "'*', 'none', 0, 0")
        for name in self.settings:
            self.ask("ALTER SYSTEM RESET %s" % name)
        if self.settings:
            self.ask("SELECT pg_reload_conf()")
        if self.created:
            self._drop_prepared(left)
            self._try(left, "DROP DATABASE IF EXISTS %s WITH (FORCE)" % self.name)
        for role in self.roles:
            self._try(left, "DROP ROLE IF EXISTS %s" % schema.identifier(role))
        self.admin.close()
        return left

    def _reconnect(self, patience=20):
        deadline = time.monotonic() + patience
        while True:
            try:
                self.ask("SELECT 1")
                return True
            except psycopg2.Error:
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.2)
                try:
                    self.admin = self.connect()
                except psycopg2.Error:
                    pass

    def _try(self, left, text, patience=30):
        deadline = time.monotonic() + patience
        while True:
            try:
                self.ask(text)
                return
            except psycopg2.Error as error:
                if time.monotonic() > deadline or self.admin.closed:
                    left.append("%s: %s" % (text, str(error).strip()))
                    return
                time.sleep(0.2)

    def _drop_prepared(self, left):
        """Rolls back what a run that failed left prepared."""
        connection = self.connect(dbname=self.name)
        with connection.cursor() as cursor:
            cursor.execute("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()")
            for (name,) in cursor.fetchall():
                try:
                    cursor.execute("ROLLBACK PREPARED %s" % schema.literal(name))
                except psycopg2.Error as error:
                    left.append(str(error).strip())
        connection.close()

    def _reload(self, settings):
        self.ask("SELECT pg_reload_conf()")
        deadline = time.monotonic() + 60
        for name, value in settings.items():
            while self._value(name) != self._normal(name, value):
                if time.monotonic() > deadline:
                    raise CannotRun("%s did not become %s" % (name, value))
                time.sleep(0.05)

    def _value(self, name):
        return self.ask("SELECT setting FROM pg_settings WHERE name = %s" % schema.literal(name))

    def _normal(self, name, value):
        unit = self.ask("SELECT unit FROM pg_settings WHERE name = %s" % schema.literal(name))
        return str(int(value[:-2]) // (8 if unit == "8kB" else 1) * (1024 if unit == "B" else 1)) if unit else value
