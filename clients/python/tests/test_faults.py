"""The scenarios of clients/conformance/faults, each by either shell: a real server, and a network that fails."""

import json
import os
import subprocess
import unittest

from live_queries import Times
from server import CONFORMANCE, SHELLS, Proxy, execute, is_equal, write

SCENARIOS = CONFORMANCE / "faults"


def restart_server():
    """Only the server of a test: PGDATA has to name it, and PGLOG its log."""
    command = ["pg_ctl", "-D", os.environ["PGDATA"], "-m", "fast", "-w", "restart", "-l", os.environ.get("PGLOG", os.devnull)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=180)


class Runner:
    """One scenario."""

    def __init__(self, test, scenario, shell):
        self.test = test
        self.specs = scenario["queries"]
        self.told = {name: set() for name in self.specs}
        self.proxy = Proxy()
        test.addCleanup(self.proxy.close)
        test.addCleanup(execute, *scenario.get("cleanup", []))
        execute("CREATE EXTENSION IF NOT EXISTS live_queries", *scenario["setup"])
        options = {name: milliseconds / 1000 for name, milliseconds in scenario["options"].items()}
        self.shell = SHELLS[shell](self.proxy.conninfo, times=Times(**options))
        test.addCleanup(self.shell.close)
        self.queries = {}
        self.scenario = scenario

    def add(self):
        for name, spec in self.specs.items():
            query = self.shell.add(spec["sql"], spec["params"])
            query.on_change(lambda change, name=name: self.told[name].add(change.state))
            self.queries[name] = query

    def run(self):
        steps = self.scenario["steps"]
        # What fails before the client comes fails before it connects.
        if "fault" not in steps[0]:
            self.add()
        for number, step in enumerate(steps):
            kind = next(iter(step))
            try:
                getattr(self, f"step_{kind}")(step[kind], step)
            except Exception as error:
                states = {name: (query.state, str(query.error)) for name, query in self.queries.items()}
                raise AssertionError(f"step {number + 1}, {json.dumps(step)[:200]}: {error} {states}") from error
            if not self.queries:
                self.add()

    def step_sql(self, statements, step):
        for _ in range(step.get("times", 1)):
            execute(*statements)

    def step_fault(self, fault, step):
        del step
        for states in self.told.values():
            states.clear()
        if fault == "restart":
            restart_server()
        else:
            self.proxy.tell(fault)

    def step_until(self, state, step):
        names = [step["of"]] if "of" in step else list(self.queries)
        self.test.assertTrue(
            self.shell.until(lambda: all(self.queries[name].state == state or state in self.told[name] for name in names))
        )

    def step_equal(self, wanted, step):
        del wanted, step
        queries = [(self.queries[name], spec) for name, spec in self.specs.items()]
        self.test.assertTrue(
            self.shell.until(lambda: all(q.state == "live" and is_equal(q, spec["sql"], spec["params"]) for q, spec in queries))
        )

    def step_includes(self, statement, step):
        del step
        xid = write(statement)
        name, query = next(iter(self.queries.items()))
        self.shell.includes(query, xid)
        self.test.assertTrue(is_equal(query, self.specs[name]["sql"], self.specs[name]["params"]))

    def step_sleep(self, milliseconds, step):
        del step
        self.shell.until(lambda: False, milliseconds / 1000)


class Faults(unittest.TestCase):
    """One test for each scenario and shell: made below."""

    def test_there_are_scenarios(self):
        self.assertGreater(len(list(SCENARIOS.glob("*.json"))), 5)


def scenario_test(path, shell):
    def test(self):
        Runner(self, json.loads(path.read_text(encoding="utf-8")), shell).run()

    test.__doc__ = json.loads(path.read_text(encoding="utf-8"))["about"]
    return test


for scenario_path in sorted(SCENARIOS.glob("*.json")):
    for shell_name in SHELLS:
        setattr(Faults, f"test_{scenario_path.stem}_{shell_name}", scenario_test(scenario_path, shell_name))


if __name__ == "__main__":
    unittest.main()
