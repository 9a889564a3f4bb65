"""How a process is shut in on Linux: namespaces, a file system of its own, a limit on processes.

The file system is built from nothing: Python, its packages and this library, all read-only, and an
empty /tmp. Sources, grade book and submissions are not hidden in it, they are not there. What is
made here is a command; `tema_lib.course.protection` tries whether it really protects.
Status: ours.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tema_lib.workspace import PACKAGE, ROOT, data_folder, in_checkout

SYSTEM = ("/bin", "/sbin", "/lib", "/lib64", "/usr", "/etc/ld.so.cache")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
MEMORY_OF_FILES = "256m"  # of the sandbox's /tmp, in memory
# Only processes of its own. For root's processes the settings in /proc/sys would be open otherwise,
# in a namespace of users too, and through kernel/core_pattern the whole machine.
PROC = "ro,nosuid,nodev,noexec,subset=pid"
UID = 64_207  # of nobody else, for submissions that root grades
UNSHARE = "unshare --net --pid --mount --ipc --uts --fork --kill-child"
EXCHANGE = Path("/usr/local/share/nbgrader")  # nbgrader's own place for what students hand in
PREFIX = Path(sys.prefix).resolve()  # of the virtual environment
# The whole environment of a student's process.
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/tmp",
    "USER": "student",
    "LANG": "C.UTF-8",
    "TEMA_HOME": "/tmp/tema",
    "MPLBACKEND": "agg",
    "MPLCONFIGDIR": "/tmp",
    "TQDM_DISABLE": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


@dataclass(frozen=True)
class Isolation:
    """One way to shut processes in.

    Attributes:
        name: what limits processes, for the reader.
        groups: the control groups below which each sandbox gets one of its own, for its number of
            processes and, where this can be had, for their memory; without one, RLIMIT_NPROC limits
            processes.
        own_uid: whether root gives processes a uid of their own; else they get a namespace of
            users, in which they are root without rights.
        hidden: folders that must not be there even where one of Python's folders holds them.
    """

    name: str
    groups: tuple[Path, ...] = ()
    own_uid: bool = False
    hidden: tuple[Path, ...] = ()

    @contextlib.contextmanager
    def command(self, program: list[str], processes: int, memory: int) -> Iterator[list[str]]:
        """The command that runs a program shut in; at the end all its processes are ended.

        Args:
            program: what is run, as a list of words.
            processes: how many at the same time.
            memory: bytes of all of them together.
        """
        with tempfile.TemporaryDirectory(prefix="sandbox-") as root, contextlib.ExitStack() as made:
            # The process that made the namespaces, and the first one in them, are no student's.
            limits = {"pids.max": processes + 2}
            limits |= dict.fromkeys(("memory.max", "memory.limit_in_bytes"), memory)
            own = [made.enter_context(_own_group(group, limits)) for group in self.groups]
            enter = self._script(Path(root), program)
            unshare = UNSHARE if self.own_uid else UNSHARE + " --user --map-root-user"
            join = "".join(f"echo $$ > {shlex.quote(str(one))}/cgroup.procs && " for one in own)
            yield ["/bin/sh", "-c", f"{join}exec {unshare} /bin/sh -c {shlex.quote(enter)}"]

    def _script(self, root: Path, program: list[str]) -> str:
        """Build the file system, enter it, give up all rights, start the program."""
        lines = ["set -e", f"cd {shlex.quote(str(root))}"]
        lines.append(f"mount -t tmpfs -o mode=755,size={MEMORY_OF_FILES} none .")
        lines += ["cd .", f"cd {shlex.quote(str(root))}"]  # into what was mounted
        lines += ["mkdir proc dev old", "mkdir -m 1777 tmp", f"mount -t proc -o {PROC} proc proc"]
        shown = tuple(dict.fromkeys(folders()))
        for path in (*shown, *map(Path, DEVICES)):
            lines += _show(path)
        for folder in (*self.hidden, *filter(Path.is_dir, [EXCHANGE])):
            if any(folder.is_relative_to(path) for path in shown):
                lines.append(f"mount -t tmpfs none {shlex.quote('.' + str(folder))}")
        lines += ["pivot_root . old", "cd /tmp", "umount -l /old", "rmdir /old"]
        rights = "setpriv --bounding-set=-all --inh-caps=-all --no-new-privs"
        if self.own_uid:
            rights += f" --reuid={UID} --regid={UID} --clear-groups"
        return "\n".join([*lines, f"exec {rights} {shlex.join(program)}"])


def _show(path: Path) -> list[str]:
    """Lines that put a file or folder into the new file system, at its own path, read-only."""
    there, here = shlex.quote(str(path)), shlex.quote("." + str(path))
    above = shlex.quote("." + str(path.parent))
    if path.is_symlink():
        return [f"mkdir -p {above}", f"ln -s {shlex.quote(os.readlink(path))} {here}"]
    made = f"mkdir -p {here}" if path.is_dir() else f"mkdir -p {above}; : > {here}"
    bound = [made, f"mount --rbind {there} {here}"]
    return bound if str(path) in DEVICES else [*bound, f"mount -o remount,bind,ro {here}"]


def folders() -> list[Path]:
    """What Python needs, and this library with the data it ships; none inside another."""
    wanted = [Path(path) for path in SYSTEM if os.path.lexists(path)]
    wanted += [Path(sys.base_prefix).resolve(), PREFIX, PACKAGE]
    if in_checkout():
        wanted += [ROOT / "pyproject.toml", data_folder() / "synthetic", data_folder() / "tags"]
    return [
        path for path in wanted if not any(path != a and path.is_relative_to(a) for a in wanted)
    ]


def python(module: str, *arguments: str) -> list[str]:
    """Run a module of this library by the environment's Python, with nothing of the user's own."""
    code = f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); "
    code += f"from {module} import main; main()"
    program = Path(sys.executable)
    if program.is_relative_to(sys.prefix):  # as it is called where links have been followed
        program = PREFIX / program.relative_to(sys.prefix)
    return [str(program), "-I", "-B", "-c", code, *arguments]


# --- control groups ---


ALL_GROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")


def control_groups(controller: str) -> list[Path]:
    """Folders in which a control group might be made: ours and those above.

    Both versions: `8:pids:/path` below /sys/fs/cgroup/pids, `0::/path` below /sys/fs/cgroup.
    """
    found = []
    for line in OWN_GROUPS.read_text().splitlines() if OWN_GROUPS.is_file() else []:
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            root = ALL_GROUPS / controllers
        elif controllers == "" and (ALL_GROUPS / "cgroup.controllers").is_file():
            root = ALL_GROUPS
        else:
            continue
        here = root / path.lstrip("/")
        found += [folder for folder in (here, *here.parents) if folder.is_relative_to(root)]
    return [folder for folder in found if folder.is_dir()]


def usable(controller: str, limit: str) -> list[Path]:
    """The first folder in which a group with this limit can be made; none where there is none."""
    for folder in control_groups(controller):
        with contextlib.suppress(OSError), _own_group(folder, {}) as group:
            if os.access(group / limit, os.W_OK):
                return [folder]
    return []


@contextlib.contextmanager
def _own_group(folder: Path, limits: dict[str, int]) -> Iterator[Path]:
    """A control group with those of the limits that it has; what is left in it is killed."""
    group = Path(tempfile.mkdtemp(prefix=f"sandbox-{os.getpid()}-", dir=folder))
    try:
        for name, most in limits.items():
            if (group / name).exists():
                (group / name).write_text(str(most))
        yield group
    finally:
        _remove(group)


def _remove(group: Path) -> None:
    """End what is left in a group, and take it away; its processes need a moment to be gone."""
    for _ in range(200):
        with contextlib.suppress(OSError):
            for number in re.findall(r"\d+", (group / "cgroup.procs").read_text()):
                os.kill(int(number), signal.SIGKILL)
        try:
            group.rmdir()
            return
        except OSError:
            time.sleep(0.01)


def ways(hidden: tuple[Path, ...]) -> list[Isolation]:
    """The ways worth trying on this machine, the best first; none outside of Linux.

    RLIMIT_NPROC does not hold for root's processes, nor for those of a namespace's root that is the
    machine's root: root needs a uid for them, or a control group.
    """
    if not sys.platform.startswith("linux"):
        return []
    groups = usable("pids", "pids.max")
    if groups:  # version 2 has both limits in one group, and a process is in one group only
        groups += usable("memory", "memory.limit_in_bytes")
    both = [Isolation("a control group", tuple(groups), hidden=hidden)] if groups else []
    if os.geteuid() != 0:
        return [*both, Isolation("a limit on processes", hidden=hidden)]
    return [
        *(replace(way, name="a control group and a uid", own_uid=True) for way in both),
        Isolation("a uid", own_uid=True, hidden=hidden),
        *both,
    ]
