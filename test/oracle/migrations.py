"""Transactions that change the definition of a table on their way.

Owns: what such a transaction does to keys, replica identities, storage and partitions, and back, with changes of rows in
between: at both ends the table looks alike, or has another partition.
"""

import journal
import schema

# Of the tables that stay as they are, but for a while within a transaction: (before, after).
THERE_AND_BACK = {
    "moves": [
        ("ALTER TABLE moves REPLICA IDENTITY DEFAULT", "ALTER TABLE moves REPLICA IDENTITY FULL"),
        ("ALTER TABLE moves REPLICA IDENTITY NOTHING", "ALTER TABLE moves REPLICA IDENTITY FULL"),
        ("ALTER TABLE moves REPLICA IDENTITY USING INDEX moves_alt", "ALTER TABLE moves REPLICA IDENTITY FULL"),
        ("ALTER TABLE moves DROP CONSTRAINT moves_pkey",
         "ALTER TABLE moves ADD CONSTRAINT moves_pkey PRIMARY KEY (id)"),
        ("ALTER TABLE moves SET UNLOGGED", "ALTER TABLE moves SET LOGGED"),
        ("CLUSTER moves USING moves_pkey", "SELECT 1"),
        ("TRUNCATE moves", "SELECT 1"),
    ],
    "tokens": [
        ("ALTER TABLE tokens REPLICA IDENTITY FULL", "ALTER TABLE tokens REPLICA IDENTITY DEFAULT"),
        ("ALTER TABLE tokens REPLICA IDENTITY NOTHING", "ALTER TABLE tokens REPLICA IDENTITY DEFAULT"),
        ("ALTER TABLE tokens DROP CONSTRAINT tokens_pkey",
         "ALTER TABLE tokens ADD CONSTRAINT tokens_pkey PRIMARY KEY (id)"),
        ("ALTER TABLE tokens SET UNLOGGED", "ALTER TABLE tokens SET LOGGED"),
    ],
}
LEAVES = {  # leaf -> (the table above it, the rows that are its)
    "regions_south_high": ("regions_south", "FOR VALUES FROM (20) TO (MAXVALUE)"),
    "regions_south_low": ("regions_south", "FOR VALUES FROM (MINVALUE) TO (20)"),
    "regions_north": ("regions", "FOR VALUES IN ('north')"),
    "regions_south": ("regions", "FOR VALUES IN ('south')"),
}
TABLES = list(THERE_AND_BACK) + ["regions"]


class Migration:
    """One transaction's worth. run and change are functions of a writer: a statement; one that changes rows of a table."""

    def __init__(self, rng, run, ask, change):
        self.rng = rng
        self.run = run
        self.ask = ask
        self.change = change

    def perform(self, name):
        """Changes the table's definition and rows."""
        self.run("LOCK TABLE %s IN ACCESS EXCLUSIVE MODE" % name)
        self._changes(name)
        for _ in range(self.rng.choice([1, 1, 2])):
            savepoint = self.rng.random() < 0.3
            if savepoint:
                self.run("SAVEPOINT m")
            if name == "regions":
                self._partitions()
            else:
                before, after = self.rng.choice(THERE_AND_BACK[name])
                self.run(before)
                self._changes(name, least=1)
                self.run(after)
            if savepoint:
                self.run(self.rng.choice(["ROLLBACK TO m", "RELEASE m"]))
            self._changes(name)

    def _changes(self, name, least=0):
        for _ in range(self.rng.randint(least, 2)):
            self.change(name)

    def _partitions(self):
        """One leaf, or table above leaves, comes, or goes, or goes and comes again."""
        leaf = self.rng.choice(list(LEAVES))
        if not self.ask("SELECT to_regclass('%s')" % leaf):
            self._create(leaf)
        elif not self.ask("SELECT relispartition FROM pg_class WHERE oid = '%s'::regclass" % leaf):
            self._attach(leaf)
        elif leaf == "regions_south_high" and self.rng.random() < 0.3:
            self._tell(leaf, "delete")
            self.run("DROP TABLE %s" % leaf)
        else:
            self._tell(leaf, "delete")
            self.run("ALTER TABLE %s DETACH PARTITION %s" % (LEAVES[leaf][0], leaf))
            self._beside(leaf)
            if leaf != "regions_south_high" or self.rng.random() < 0.5:
                self._attach(leaf)

    def _create(self, leaf):
        above, bound = LEAVES[leaf]
        if self.rng.random() < 0.5:
            self.run("CREATE TABLE %s PARTITION OF %s %s" % (leaf, above, bound))
        else:
            self.run("CREATE TABLE %s (txt text, n int, region text NOT NULL, id int NOT NULL)" % leaf)
            self.run("INSERT INTO %s VALUES ('born', 1, 'south', 30), ('born', NULL, 'south', 55)" % leaf)
            self._attach(leaf)
        self.run("ALTER TABLE %s REPLICA IDENTITY FULL" % leaf)
        self.run(journal.truncated("regions", leaf))

    def _attach(self, leaf):
        above, bound = LEAVES[leaf]
        self.run("ALTER TABLE %s ATTACH PARTITION %s %s" % (above, leaf, bound))
        self._tell(leaf, "insert")

    def _beside(self, leaf):
        """Changes rows of what is detached."""
        for text in self.rng.sample(["UPDATE {0} SET n = 3 WHERE id % 3 = 0", "DELETE FROM {0} WHERE id % 5 = 0",
                                     "UPDATE {0} SET txt = 'apart' WHERE id % 7 = 1"], self.rng.randint(0, 2)):
            self.run(text.format(leaf))

    def _tell(self, leaf, op):
        """Rows that come or go with their partition are told by nothing else."""
        for name in [leaf] if leaf != "regions_south" else [one for one, (above, _) in LEAVES.items() if above == leaf]:
            if self.ask("SELECT relispartition FROM pg_class WHERE oid = to_regclass('%s')" % name):
                self.run("SELECT journal_rows('regions', %s, %s)" % (schema.literal(name), schema.literal(op)))
