"""Fuzzes one target, guided by the branches that its code takes: ``python -m tests.fuzz TARGET SECONDS [CORPUS]``.

Exit 0 after so many seconds without a finding. A finding is written to the corpus folder, or to a folder of its
own, and named: run the target with the file's path in the place of the seconds to see it again.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

LONGEST_INPUT = 65_536
SLOWEST_S = 10
MOST_MEMORY_MIB = 1024


def main() -> None:
    name = sys.argv[1]
    with atheris.instrument_imports(include=["drivers", "gateway.reporting.channels"]):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    if Path(sys.argv[2]).is_file():
        target.run(Path(sys.argv[2]).read_bytes())
        return
    corpus = Path(sys.argv[3] if len(sys.argv) > 3 else tempfile.mkdtemp(prefix="fuzz-"))
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [
        f"-max_total_time={int(sys.argv[2])}",
        f"-max_len={LONGEST_INPUT}",
        f"-timeout={SLOWEST_S}",
        f"-rss_limit_mb={MOST_MEMORY_MIB}",
        f"-artifact_prefix={corpus}/finding-",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], target.run)
    atheris.Fuzz()


main()
