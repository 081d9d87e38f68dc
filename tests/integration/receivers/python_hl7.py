"""python-hl7's asyncio server as an MLLP receiver."""

from __future__ import annotations

import asyncio
from typing import Any

import hl7.mllp

from tests.integration.receivers.ledger import Ledger


async def main() -> None:
    ledger = Ledger()

    async def serve(reader: Any, writer: Any) -> None:
        try:
            while True:
                message = await reader.readmessage()
                ledger.arrived(str(message.segment("MSH")(10)))
                writer.writemessage(message.create_ack())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await hl7.mllp.start_hl7_server(serve, "127.0.0.1", ledger.port, encoding="utf-8", limit=1 << 20)
    ledger.listening()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
