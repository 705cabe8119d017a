"""Rights that come and go.

Owns: the table's row security that asks for them, the thread that grants, revokes and renames, and what a user may see
with given rights. Each change writes all rights into the log, as a message of its own transaction: so the reference knows
of each other transaction which rights were there.
"""

import json
import time

import psycopg2

import schema
from gate import Actor
from server import clashed

PREFIX = "oracle-rights"
LATER = ("55P03", "57014")  # a prepared transaction that truncates keeps the table's row in the catalog; canceled
DEFINITIONS = """
CREATE TABLE marks (n int);
CREATE FUNCTION may_read(int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 = 3; END';
ALTER TABLE files ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON files, marks FROM PUBLIC;
CREATE POLICY by_rights ON files USING (owner_name = current_user
    OR (level = 1 AND pg_has_role(current_user, {group}, 'member'))
    OR (level = 2 AND has_table_privilege(current_user, 'marks', 'SELECT')) OR (level = 3 AND may_read(level)));
"""
KINDS = {  # what of a role comes and goes: (to give it, to take it)
    "member": ("GRANT {group} TO {role}", "REVOKE {group} FROM {role}"),
    "marks": ("GRANT SELECT ON marks TO {role}", "REVOKE SELECT ON marks FROM {role}"),
    "select": ("GRANT SELECT ON files TO {role}", "REVOKE SELECT ON files FROM {role}"),
}
EXECUTE = ("GRANT EXECUTE ON FUNCTION may_read TO PUBLIC", "REVOKE EXECUTE ON FUNCTION may_read FROM PUBLIC")


def at_first(users):
    """Returns the rights at the start: for each role, by the name that it has in schema.User."""
    rights = {user.name: {"name": user.name, "member": False, "marks": False, "select": True} for user in users}
    return {**rights, "execute": True}


def policy(user, rights):
    """Returns the condition, over the row "s", of what a user may see."""
    mine = rights[user.name]
    if user.superuser:
        return "true"
    if not (mine["select"] and rights["execute"]):
        return "false"
    return "(s.owner_name = %s OR s.level = 3%s%s)" % (
        schema.literal(mine["name"]), " OR s.level = 1" if mine["member"] else "",
        " OR s.level = 2" if mine["marks"] else "")


class Warden(Actor):
    """Changes rights, about twice a second. At a quiet point all roles have their first names."""

    def __init__(self, world, gate):
        super().__init__("warden", world, gate)
        self.connection = world.server.database()
        with self.connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '500ms'")
        self.group = schema.identifier(world.server.group)
        self.rights = at_first(world.users)
        self.roles = sorted({user.name for user in world.users if not user.superuser})
        self.renamed = [user.name for user in world.users if user.renamed]

    @staticmethod
    def prepare(cursor, server, users):
        """Makes what the rights are about, as at_first says."""
        cursor.execute(DEFINITIONS.format(group=schema.literal(server.group)))
        for user in users:
            if not user.superuser:
                cursor.execute("GRANT SELECT ON files TO %s" % schema.identifier(user.name))

    def act(self):
        """Changes a right."""
        self._change(self._any())
        self.world.stop.wait(self.rng.uniform(0.1, 0.9))

    def come_to_rest(self):
        """Gives all roles their first names."""
        for role in self.renamed:
            while self.rights[role]["name"] != role:
                self._change(self._rename(role), certain=True)

    def close(self):
        """Closes the connection; to be called when the thread has ended."""
        self.connection.close()

    def _any(self):
        """Returns a change: the statement, and the rights after it."""
        after = json.loads(json.dumps(self.rights))
        if self.rng.random() < (0.05 if self.rights["execute"] else 0.9):
            after["execute"] = not after["execute"]
            return EXECUTE[0 if after["execute"] else 1], after
        # without these there is nothing to see: mostly they are there
        missing = [role for role in self.roles if not self.rights[role]["select"]]
        role = self.rng.choice(missing or self.roles)
        if role in self.renamed and self.rng.random() < 0.4:
            return self._rename(role)
        kind = "select" if missing else self.rng.choice(list(KINDS))
        after[role][kind] = not after[role][kind]
        return KINDS[kind][0 if after[role][kind] else 1].format(
            group=self.group, role=schema.identifier(after[role]["name"])), after

    def _rename(self, role):
        after = json.loads(json.dumps(self.rights))
        now = after[role]["name"]
        after[role]["name"] = role + schema.RENAMED if now == role else role
        return "ALTER ROLE %s RENAME TO %s" % (schema.identifier(now), schema.identifier(after[role]["name"])), after

    def _change(self, change, certain=False):
        text, after = change
        since = time.monotonic()
        with self.connection.cursor() as cursor:
            try:
                cursor.execute("BEGIN")
                cursor.execute(text)
                cursor.execute("SELECT pg_logical_emit_message(true, '%s', %s)" % (
                    PREFIX, schema.literal(json.dumps(after))))
                done = certain or self.rng.random() < 0.9
                cursor.execute("COMMIT" if done else "ROLLBACK")
            except psycopg2.Error as error:
                if error.pgcode not in LATER and not clashed(error):
                    raise
                cursor.execute("ROLLBACK")
                done = False
                self.world.count("changes of rights failed")
        if done:
            self.rights = after
            self.world.count("rights changed")
        self.world.altered.add("files", since, time.monotonic())
