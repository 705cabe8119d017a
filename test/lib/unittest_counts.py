"""Runs unittest's tests of some directories, each in a process of its own, and ends with a line `N passed, N failed`.

    unittest_counts.py DIRECTORY...

A test that was skipped has not passed.
"""

import os
import subprocess
import sys
import unittest


class CountingResult(unittest.TextTestResult):
    """Counts what has passed; a test of several parts (subTest) is one."""

    passed = 0

    def addSuccess(self, test):
        self.passed += 1
        super().addSuccess(test)

    def getDescription(self, test):
        return str(test)


def run(directory):
    os.chdir(directory)
    sys.path.insert(0, directory)
    tests = unittest.defaultTestLoader.discover(".", "test_*.py")
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=CountingResult).run(tests)
    bad = {str(getattr(test, "test_case", test)) for test, _ in result.failures + result.errors + result.skipped}
    failed = len(bad | {str(test) for test in result.unexpectedSuccesses})
    print(f"{result.passed} passed, {failed} failed")
    return failed == 0


def main():
    directories = [os.path.abspath(directory) for directory in sys.argv[1:]]
    if len(directories) == 1:
        sys.exit(0 if run(directories[0]) else 1)
    statuses = [subprocess.run([sys.executable, __file__, directory], check=False).returncode for directory in directories]
    sys.exit(max(statuses))


if __name__ == "__main__":
    main()
