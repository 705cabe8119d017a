"""A PgBouncer of a test's own, before the server that libpq's environment names.

As a program: `pgbouncer.py MODE` says in which directory its socket is, and ends with its input.
"""

import glob
import os
import pathlib
import subprocess
import sys
import tempfile
import time


class PgBouncer:
    """Runs until it is closed. Not as root, which it refuses."""

    def __init__(self, mode):
        self.directory = tempfile.TemporaryDirectory()
        database = os.environ["PGDATABASE"]
        settings = pathlib.Path(self.directory.name) / "pgbouncer.ini"
        lines = [
            "[databases]",
            f"{database} = host={os.environ['PGHOST']} port={os.environ['PGPORT']} user={os.environ['PGUSER']}",
            "[pgbouncer]",
            f"logfile = {self.directory.name}/log",
            "listen_addr =",
            "listen_port = 6432",
            f"unix_socket_dir = {self.directory.name}",
            "auth_type = any",
            f"pool_mode = {mode}",
        ]
        settings.write_text("\n".join(lines) + "\n")
        self.process = subprocess.Popen(["pgbouncer", "-q", str(settings)], stdin=subprocess.DEVNULL)
        self.conninfo = f"host={self.directory.name} port=6432 dbname={database} user={os.environ['PGUSER']}"
        end = time.monotonic() + 30
        while not glob.glob(f"{self.directory.name}/.s.PGSQL.6432"):
            if time.monotonic() > end or self.process.poll() is not None:
                self.close()
                raise RuntimeError("pgbouncer has not started")
            time.sleep(0.05)

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.directory.cleanup()


if __name__ == "__main__":
    pooler = PgBouncer(sys.argv[1])
    print(pooler.directory.name, flush=True)
    sys.stdin.read()
    pooler.close()
