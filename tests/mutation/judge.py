"""Judges one mutant of the tally core in about a second: a server that forks with all loaded but the core.

`serve` draws random cases, lets the slow oracle answer them once, and waits. `ask` is the test command of a
mutation tool. It makes the server fork; the child imports the core as it now stands on disk, compares it with the
oracle's answers, then runs the tests it is told to, and its outcome becomes the exit code. The parent never imports
the core.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
CPU_LIMIT_S = 8
MEMORY_LIMIT_OCTETS = 2 << 30
QUIET = "ignore:Slow code in plugin"
"""The server uses hypothesis before pytest loads hypothesis' plugin, which warns of the time that may cost."""
SURVIVED, KILLED, TIMED_OUT = 0, 1, 2


def worked_out(count: int) -> list[tuple[Json, Json, object]]:
    """Random cases and policies, always the same ones, and what the slow oracle says about each."""
    from hypothesis import HealthCheck, Phase, given, settings

    from tests.unit.units.oracle import Oracle
    from tests.unit.units.strategies import cases, policies, weekly_cases

    found: list[tuple[Json, Json, object]] = []

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases() | weekly_cases(), policy=policies())
    def collect(case: Json, policy: Json) -> None:
        found.append((case, policy, Oracle(case, policy).expected()))

    collect()
    return found


def agrees_with_the_oracle(answers: list[tuple[Json, Json, object]]) -> bool:
    """Whether the core on disk gives every answer of the oracle, in any order of arrival and with a trace."""
    import tomllib

    from gateway.reporting.units.cases import expected_of, parse_case
    from gateway.reporting.units.diagnoses import diagnosis_table

    table = diagnosis_table(tomllib.loads((ROOT / "config/diagnoses/ncd-190-11.toml").read_text()))
    for at, (case, policy, expected) in enumerate(answers):
        inputs = parse_case(case, table, policy)
        if expected_of(inputs.tally(trace=at % 3 == 0)) != expected:
            return False
        if at % 3 == 1:
            shuffled = {**case, "tests": random.Random(at).sample(case["tests"], len(case["tests"]))}
            again = expected_of(parse_case(shuffled, table, policy).tally())
            again["not_covered"] = expected_of(inputs.tally())["not_covered"]
            if again != expected:
                return False
    return True


def judge(answers: list[tuple[Json, Json, object]], arguments: list[str]) -> int:
    """Outcome for the core as it stands on disk."""
    import pytest

    try:
        if not agrees_with_the_oracle(answers):
            return KILLED
    except Exception:
        return KILLED
    quiet = ["-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no", "--assert=plain", "-W", QUIET]
    return KILLED if pytest.main([*quiet, *arguments]) else SURVIVED


def _fork(answers: list[tuple[Json, Json, object]], arguments: list[str]) -> int:
    child = os.fork()
    if child == 0:
        sys.dont_write_bytecode = True
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_OCTETS, MEMORY_LIMIT_OCTETS))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S + 1))
        outcome = KILLED
        try:
            outcome = judge(answers, arguments)
        finally:
            os._exit(outcome)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return TIMED_OUT if os.WTERMSIG(status) == signal.SIGXCPU else KILLED
    return os.WEXITSTATUS(status)


def _requests(path: str) -> Iterator[socket.socket]:
    Path(path).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        print("ready", flush=True)
        while True:
            with server.accept()[0] as connection:
                yield connection


def serve(path: str, count: int) -> None:
    """Answer requests on the local socket `path` for ever."""
    import hypothesis
    import pytest  # noqa: F401  # loaded before the fork, so that no child has to
    from hypothesis import settings

    settings.register_profile("judge", derandomize=True, max_examples=25, database=None, report_multiple_bugs=False)
    settings.load_profile("judge")
    answers = worked_out(count)
    print(f"{len(answers)} answers of the oracle, hypothesis {hypothesis.__version__}", flush=True)
    core = [name for name in sys.modules if name.partition(".")[0] == "gateway"]
    assert not core, core
    os.chdir(ROOT)
    gc.freeze()
    for connection in _requests(path):
        arguments = [part for part in connection.recv(4096).decode().split("\0") if part]
        connection.sendall(bytes([_fork(answers, arguments)]))


def ask(path: str, arguments: list[str]) -> int:
    """Outcome of one judgement, asked of the server at `path`."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall("\0".join(arguments or [""]).encode() or b"\0")
        answer = connection.recv(1)
    if not answer:
        # To the tool every failure is a kill: the missing word in the output gives this one away.
        sys.exit("no answer: the judgement is void")
    outcome = answer[0]
    print({SURVIVED: "survived", KILLED: "killed", TIMED_OUT: "timed out"}[outcome])
    return outcome


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("mode", choices=("serve", "ask"))
    parser.add_argument("socket", help="path of the local socket")
    parser.add_argument("--examples", type=int, default=800)
    parsed, rest = parser.parse_known_args()
    sys.path.insert(0, str(ROOT))
    if parsed.mode == "serve":
        serve(parsed.socket, parsed.examples)
    sys.exit(ask(parsed.socket, rest))
