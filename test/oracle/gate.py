"""Brings threads to rest and lets them go on.

Owns: the frame of a thread that acts until the run is over, the barrier between the conductor and a group of them, and
the pauses that --delays puts between steps.
"""

import random
import threading
import time


class Gate:
    """A barrier for a group of threads, which park at a point of their own choice."""

    def __init__(self, count):
        self.count = count      # threads that are alive
        self.parked = 0
        self.shut = False
        self.condition = threading.Condition()

    def closed(self):
        """Tells whether threads should come to rest."""
        return self.shut

    def park(self):
        """Called by a thread: stays here while the gate is closed."""
        with self.condition:
            if not self.shut:
                return
            self.parked += 1
            self.condition.notify_all()
            while self.shut:
                self.condition.wait()
            self.parked -= 1

    def leave(self):
        """Called by a thread that ends."""
        with self.condition:
            self.count -= 1
            self.condition.notify_all()

    def close(self, timeout):
        """Closes the gate; returns whether all threads came to rest in time."""
        deadline = time.monotonic() + timeout
        with self.condition:
            self.shut = True
            while self.parked < self.count:
                if not self.condition.wait(max(0, deadline - time.monotonic())) and time.monotonic() >= deadline:
                    return False
            return True

    def open(self):
        """Lets the threads go on; returns when all are on their way."""
        with self.condition:
            self.shut = False
            self.condition.notify_all()
        while self.parked:
            time.sleep(0.001)


class Actor(threading.Thread):
    """Acts until the world stops, and comes to rest where its gate is closed. Random by the seed and its name."""

    def __init__(self, name, world, gate):
        super().__init__(name=name, daemon=True)
        self.world = world
        self.gate = gate
        self.rng = random.Random("%s/%s" % (world.options.seed, name))

    def run(self):
        """Goes on until the world stops."""
        try:
            while not self.world.stopping():
                self.act()
                if self.gate.closed():
                    self.come_to_rest()
                    self.gate.park()
        except Exception as error:  # pylint: disable=broad-except
            self.world.fail(self.name, error, self.trace())
        finally:
            self.gate.leave()

    def act(self):
        """Does one thing, and takes its time."""
        raise NotImplementedError

    def come_to_rest(self):
        """Leaves things as they have to be at a quiet point."""

    def trace(self):
        """Returns what a report should show of a failure."""


class Pace:
    """Pauses at random. With delays, some are long: transactions stay open, snapshots stay unread."""

    def __init__(self, delays):
        self.delays = delays

    def between(self, rng):
        """Between two transactions of a writer, or two actions of a client."""
        time.sleep(rng.random() * 0.004)
        if self.delays and rng.random() < 0.05:
            time.sleep(rng.random() * 0.2)

    def within(self, rng):
        """Between two statements of a transaction."""
        if self.delays and rng.random() < 0.1:
            time.sleep(rng.random() * 0.05)
        if self.delays and rng.random() < 0.005:
            time.sleep(rng.random() * 1.5)
