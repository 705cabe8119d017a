"""What is measured: processes by /proc, shared memory and files by the directories where the server keeps them.

Owns: knowing where all that is, on Linux, for the one server of the dsn among several.
"""

import os
import re
import struct

from world import CannotRun, Failed

KB = 1024
MB = 1024 * 1024
REMOVED = re.compile(r"/pgsql_tmp/.* \(deleted\)$")
OF_TABLE = re.compile(r"/(base/\d+|global)/[^/]*$")
SEGMENT = re.compile(r"/(PostgreSQL\.\d+|pg_dynshmem/mmap\.\d+)\b")


def _open_files(pid):
    """The files that a process has open, as the kernel names them."""
    place = "/proc/%d/fd" % pid
    for name in os.listdir(place):
        try:
            yield os.readlink(os.path.join(place, name))
        except FileNotFoundError:
            pass


def _count_files(pid):
    """Returns how many files a process has open, those of tables left out: every backend keeps many of these, up to a limit."""
    return sum(not OF_TABLE.search(file) for file in _open_files(pid))


def _has_removed_files(pid):
    """Returns whether a process has temporary files open that are removed already."""
    return any(REMOVED.search(file) for file in _open_files(pid))


def _count_segments(pid):
    """Returns how many segments of dynamic shared memory a process has mapped, removed ones included."""
    with open("/proc/%d/maps" % pid, encoding="utf-8") as maps:
        return len(set(match.group(1) for match in map(SEGMENT.search, maps) if match))


def anonymous_kb(pid):
    """Returns the memory of a process, resident or swapped; None if it has ended. Not what it shares: pages of shared memory
    count as private while nobody else has touched them."""
    try:
        with open("/proc/%d/status" % pid, encoding="utf-8") as status:
            fields = dict(line.split(":", 1) for line in status)
        return sum(int(fields[key].split()[0]) for key in ("RssAnon", "VmSwap"))
    except (OSError, KeyError):
        return None


class Probe:
    """Measures the server."""

    def __init__(self, world):
        self.world = world
        self.data = world.ask("SHOW data_directory")
        self.postmaster = int(world.ask("SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)"))
        self.kind = world.ask("SHOW dynamic_shared_memory_type")
        self.decoder = world.decoder_pid()
        try:
            os.listdir("/proc/%d/fd" % self.postmaster)
            os.listdir(self.data)
        except OSError as error:
            raise CannotRun("it has to run beside the server, as the server's user or root: %s" % error) from error

    def measure(self):
        """Returns a dictionary from the names of the measures to integers; None for those of a process that has gone."""
        measured = {}
        world = self.world
        if self.decoder != world.decoder_pid():
            # What it has leaked is gone with it.
            raise Failed("the decoder was started anew")
        self._await_closing()
        for name, pid in [("postmaster", self.postmaster), ("launcher", world.launcher_pid()), ("decoder", self.decoder)]:
            self._process(measured, name, pid)
        measured["decoder contexts kB"] = world.decoder_memory() // KB
        for client in world.lasting_clients():
            self._process(measured, client.name, client.pid)
            measured[client.name + " contexts kB"] = client.context_bytes() // KB
        self._shared_memory(measured)
        self._files(measured)
        measured.update(world.counts())
        return measured

    def _await_closing(self):
        """The decoder closes those of connections that have ended once a second. Longer than that, they are seen in what it has open."""
        self.world.comes_true(lambda: not _has_removed_files(self.decoder))

    @staticmethod
    def _process(measured, name, pid):
        for what in ("memory kB", "files", "mapped"):
            measured["%s %s" % (name, what)] = None
        try:
            measured[name + " memory kB"] = anonymous_kb(pid)
            measured[name + " files"] = _count_files(pid)
            measured[name + " mapped"] = _count_segments(pid)
        except OSError:
            pass

    def _shared_memory(self, measured):
        """The segments of dynamic shared memory that exist, whoever made them, mapped or not."""
        sizes = self._segments()
        measured["segments"] = len(sizes)
        measured["segments kB"] = sum(sizes) // KB

    def segment_bytes(self):
        """Returns what they take."""
        return sum(self._segments())

    def _segments(self):
        if self.kind == "mmap":
            place = os.path.join(self.data, "pg_dynshmem")
            return [os.path.getsize(os.path.join(place, name)) for name in os.listdir(place)]
        if self.kind != "posix":
            raise CannotRun("it knows no way to find segments of dynamic_shared_memory_type = %s" % self.kind)
        return [self._posix_size(handle) for handle in self._posix_handles()]

    def _posix_handles(self):
        """The segments of all servers lie in one directory. The postmaster has the list of its own ones mapped (dsm.c)."""
        with open("/proc/%d/maps" % self.postmaster, encoding="utf-8") as maps:
            lists = set(re.findall(r"/dev/shm/PostgreSQL\.\d+", maps.read()))
        for path in lists:
            with open(path, "rb") as file:
                content = file.read()
            magic, count, _ = struct.unpack_from("=III", content)
            if magic != 0x9A503D32:
                continue
            # handle, references, first page, pages, an address, pinned
            items = [struct.unpack_from("=IIQQQB", content, 16 + 40 * number) for number in range(count)]
            return [item[0] for item in items if item[1] > 0]
        raise CannotRun("the postmaster has no list of segments of dynamic shared memory")

    @staticmethod
    def _posix_size(handle):
        try:
            return os.path.getsize("/dev/shm/PostgreSQL.%u" % handle)
        except FileNotFoundError:
            return 0  # removed, and about to leave the list

    def _files(self, measured):
        temporary = self._below("base/pgsql_tmp")
        measured["temporary files"] = len(temporary)
        measured["temporary kB"] = sum(temporary) // KB
        # A slot's own state is one file.
        measured["files of slots"] = len(self._below("pg_replslot")) - self.world.slot_count()
        measured["decoding snapshots"] = len(self._below("pg_logical/snapshots"))
        measured["pg_wal MB"] = sum(self._below("pg_wal")) // MB

    def _below(self, directory):
        sizes = []
        for place, _, names in os.walk(os.path.join(self.data, directory)):
            for name in names:
                try:
                    sizes.append(os.path.getsize(os.path.join(place, name)))
                except FileNotFoundError:
                    pass
        return sizes
