"""hl7apy's threading server as an MLLP receiver: it closes the connection after every acknowledgement.

What it does not know, or what does not parse, it answers with AR and the reason in MSA-3.
"""

from __future__ import annotations

import threading
from typing import Any

from hl7apy.core import Message
from hl7apy.mllp import AbstractErrorHandler, AbstractHandler, MLLPServer
from hl7apy.parser import parse_message, parse_segment

from tests.integration.receivers.ledger import Ledger

ONE_AT_A_TIME = threading.Lock()


def answer(header: Any, code: str, words: str = "") -> str:
    found = Message("ACK", version=header.msh_12.to_er7())
    found.msh.msh_3, found.msh.msh_4 = header.msh_5.to_er7(), header.msh_6.to_er7()
    found.msh.msh_9, found.msh.msh_10 = "ACK^R01^ACK", "1"
    found.msh.msh_11 = "P"
    found.msa.msa_1, found.msa.msa_2 = code, header.msh_10.to_er7()
    if words:
        found.msa.msa_3 = words
    return str(found.to_mllp())


class Take(AbstractHandler):  # type: ignore[misc]  # hl7apy has no types
    def __init__(self, message: str, ledger: Ledger) -> None:
        super().__init__(message)
        self.ledger = ledger

    def reply(self) -> str:
        message = parse_message(self.incoming_message, find_groups=False)
        with ONE_AT_A_TIME:
            self.ledger.arrived(message.msh.msh_10.to_er7())
        return answer(message.msh, "AA")


class Refuse(AbstractErrorHandler):  # type: ignore[misc]  # hl7apy has no types
    def reply(self) -> str:
        header = parse_segment(self.incoming_message.split("\r")[0])
        return answer(header, "AR", f"{type(self.exc).__name__}: {self.exc}")


def main() -> None:
    ledger = Ledger()
    handlers = {"ORU^R01^ORU_R01": (Take, ledger), "ERR": (Refuse,)}
    with MLLPServer("127.0.0.1", ledger.port, handlers) as server:
        server.daemon_threads = True
        ledger.listening()
        server.serve_forever()


if __name__ == "__main__":
    main()
