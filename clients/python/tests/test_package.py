"""The package as it would be published: what is in it, and that an empty environment can use it."""

import ast
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile

import psycopg

from server import execute

HERE = pathlib.Path(__file__).resolve().parents[1]


class Package(unittest.TestCase):
    def test_is_written_in_the_oldest_python_that_it_names(self):
        for path in (HERE / "live_queries").glob("*.py"):
            with self.subTest(path.name):
                text = path.read_text(encoding="utf-8")
                ast.parse(text, feature_version=(3, 9))
                # Unions with | are for later Pythons where they are evaluated.
                self.assertTrue("from __future__ import annotations" in text or path.name == "__init__.py")

    def test_is_built_and_used(self):
        if importlib.util.find_spec("pip") is None or importlib.util.find_spec("setuptools") is None:
            print("no pip or setuptools here: the package is built where the recipes are run", end=" ")
            return
        execute("CREATE EXTENSION IF NOT EXISTS live_queries", "CREATE TABLE IF NOT EXISTS packaged AS SELECT 1 AS n")
        with tempfile.TemporaryDirectory() as directory:
            source = shutil.copytree(HERE, pathlib.Path(directory) / "source", ignore=shutil.ignore_patterns("tests", "build"))
            pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
            options = ["--no-deps", "--no-index", "--no-build-isolation"]
            subprocess.run([*pip, "wheel", *options, "--wheel-dir", directory, str(source)], check=True, capture_output=True)
            (wheel,) = pathlib.Path(directory).glob("*.whl")
            names = set(zipfile.ZipFile(wheel).namelist())
            modules = {f"live_queries/{path.name}" for path in (HERE / "live_queries").glob("*.py")}
            self.assertEqual({name for name in names if name.startswith("live_queries/")}, modules | {"live_queries/py.typed"})
            target = pathlib.Path(directory) / "target"
            subprocess.run([*pip, "install", *options, "--target", str(target), str(wheel)], check=True, capture_output=True)
            text = "import live_queries, live_queries.aio; print(live_queries.__file__, next(iter(live_queries.live('', 'SELECT n FROM packaged'))))"
            path = f"{target}:{pathlib.Path(psycopg.__file__).resolve().parents[1]}"
            used = subprocess.run(
                [sys.executable, "-c", text], check=True, capture_output=True, text=True, cwd=directory, env={**os.environ, "PYTHONPATH": path}
            )
            self.assertEqual(used.stdout.split()[0], str(target / "live_queries" / "__init__.py"))
            self.assertIn("{'n': 1}", used.stdout)


if __name__ == "__main__":
    unittest.main()
