"""The scenarios of clients/conformance/messages: what is said becomes what is shown, without server or clock."""

import json
import pathlib
import unittest

from live_queries.calls import LiveQueryState
from live_queries.commands import Subscribed, Times, WaitedFor
from live_queries.core import Core
from live_queries.errors import LiveQueryError
from live_queries.json_text import parse, text_of

SCENARIOS = pathlib.Path(__file__).resolve().parents[2] / "conformance" / "messages"
IN_MILLISECONDS = Times(heartbeat=15000, answer=10000, long_answer=120000, first_wait=1000, longest_wait=30000, calm=10000)


class Runner:
    """Is server, application and clock of one scenario."""

    def __init__(self, test, scenario):
        self.test = test
        self.now = 0
        lent = scenario.get("lent", False)
        limits = {limit: scenario[limit] for limit in ("batch", "many") if limit in scenario}
        self.core = Core(IN_MILLISECONDS, **limits, lent=lent, random=lambda: float(scenario["random"]))
        self.queries = {}
        self.calls = {}
        self.told = {}
        self.difference = {}
        for name, query in scenario["queries"].items():
            state = LiveQueryState(query["sql"], query["params"])
            if "initial" in query:
                state.begin_with(query["initial"])
            self.queries[name] = state
            self.told[name] = []
            if not query.get("later"):
                self.core.add(state)

    def run(self, steps):
        for number, step in enumerate(steps):
            kind = next(iter(step))
            try:
                getattr(self, f"step_{kind}")(step[kind], step)
            except Exception as error:
                raise AssertionError(f"step {number + 1}, {text_of(step)[:200]}: {error}") from error
            self.listen()

    def listen(self):
        for query, change in self.core.take_changes():
            name = self.name_of(query)
            self.told[name].append(change.state)
            self.difference[name] = change

    def name_of(self, query):
        return next(name for name, other in self.queries.items() if other is query)

    def step_asks(self, kind, step):
        command = self.core.command
        self.test.assertEqual(command.kind if command else None, kind)
        if "query" in step:
            self.test.assertEqual(self.name_of(command.query), step["query"])
        if "queries" in step:
            self.test.assertEqual(list(map(self.name_of, command.queries)), step["queries"])
            if "params" in step:
                self.test.assertEqual([list(query.accepted_params) for query in command.queries], step["params"])
        elif "params" in step:
            self.test.assertEqual(list(command.params), step["params"])
        if kind == "disconnect":
            self.core.answered(None, self.now)

    def step_answer(self, answer, step):
        del step
        kind = self.core.command.kind
        if kind == "subscribe":
            answer = Subscribed(**answer)
        elif kind == "subscribe_many":
            answer = [Subscribed(**subscribed) for subscribed in answer["subscriptions"]]
        elif kind == "snapshot":
            answer = [(text_of(key), row) for key, row in answer["rows"]]
        elif kind == "wait_for":
            answer = WaitedFor(answer["snapshot"], answer["told"])
        self.core.answered(answer, self.now)

    def step_refuse(self, refusal, step):
        del step
        self.core.refused(LiveQueryError(refusal["message"], refusal["code"]), self.now)

    def step_message(self, message, step):
        del step
        if message.get("subscription_id") in self.queries:
            message = {**message, "subscription_id": self.queries[message["subscription_id"]].id}
        self.core.notified(text_of(message), self.now)

    def step_raw(self, text, step):
        del step
        for name, query in self.queries.items():
            text = text.replace(f"${name}", query.id)
        self.core.notified(text, self.now)

    def step_lost(self, reason, step):
        del step
        self.core.lost(LiveQueryError(reason), self.now)

    def step_after(self, milliseconds, step):
        del step
        end = self.now + milliseconds
        while self.core.next_time() <= end:
            self.now = self.core.next_time()
            self.core.tick(self.now)
            self.listen()
        self.now = end
        self.core.tick(end)

    def step_add(self, name, step):
        del step
        self.core.add(self.queries[name])

    def step_close(self, name, step):
        del step
        self.core.close(self.queries[name])

    def step_set_params(self, name, step):
        self.calls[step["as"]] = self.core.set_params(self.queries[name], step["params"])

    def step_includes(self, name, step):
        self.calls[step["as"]] = self.core.includes(self.queries[name], int(step["xid"]))

    def step_cancel(self, name, step):
        del step
        self.core.cancel(self.calls[name])

    def step_calls(self, expected, step):
        del step
        self.test.assertEqual({name: self.calls[name].state for name in expected}, expected)

    def step_expect(self, expected, step):
        del step
        for name, checks in expected.items():
            query = self.queries[name]
            shown = {
                "state": query.state,
                "rows": list(query.rows.rows()),
                "keys": list(query.rows.keys()),
                "seq": query.seq,
                "error": query.error and query.error.sqlstate,
                "told": self.told[name],
            }
            for check, value in checks.items():
                if check == "difference":
                    change = self.difference[name]
                    for part, keys in value.items():
                        self.test.assertEqual(sorted(getattr(change, part)), sorted(keys), f"{name}: {part}")
                else:
                    self.test.assertEqual(text_of(shown[check]), text_of(value), f"{name}: {check}")
            self.told[name] = []


class Messages(unittest.TestCase):
    """One test for each scenario: made below."""

    def test_there_are_scenarios(self):
        self.assertGreater(len(list(SCENARIOS.glob("*.json"))), 30)


def scenario_test(path):
    def test(self):
        scenario = parse(path.read_text(encoding="utf-8"))
        runner = Runner(self, scenario)
        runner.listen()
        runner.run(scenario["steps"])

    test.__doc__ = json.loads(path.read_text(encoding="utf-8"))["about"]
    return test


for scenario_path in sorted(SCENARIOS.glob("*.json")):
    setattr(Messages, f"test_{scenario_path.stem}", scenario_test(scenario_path))


if __name__ == "__main__":
    unittest.main()
