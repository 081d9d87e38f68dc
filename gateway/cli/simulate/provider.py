"""``inr-gateway simulate provider``: the far ends of the channels to a treating provider."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gateway.cli.simulate.reading import say

if TYPE_CHECKING:
    import ssl

    from simulators.ledger import Ledger

__all__ = ["add_arguments", "run"]

_WORDS = """\
A treating provider's system. It has each message on disk (--ledger) before it answers, and answers as it should
unless it is told to misbehave. When it is ready it prints one JSON line with its address.

--misbehave WHICH=HOW, any number of times. WHICH is a message number, counted from 1 as messages arrive
(3, or 2-5), or * for every other message. HOW depends on the kind.

--kind mllp: HL7 v2 over MLLP (the default)
  accept       AA (the default)             silent       no answer, connection left open
  late:S       AA after S seconds           hang-up      no answer, connection closed
  wrong-id     AA for another message       half-frame   only the first half of AA
  close-after  AA, then closed              stale-first  the answer before once more, then AA
  twice        AA two times in one write    garbage      octets that are no frame
  ack-2.3      AA in the form of HL7 2.3    mangle       keeps and says ? for all but ASCII
  AE[:CODE]    application error            AR[:CODE]    application reject
  AR-words     AR with MSA-3 and no ERR     CA           commit accept only
  CE, CR       commit error, commit reject
With --certificate it speaks TLS; with --client-ca it wants a client certificate by that authority too.

--kind fhir: a FHIR R4 server; --login ID:SECRET makes it want a token from /token
  accept       as specified (the default)   ignore-condition  If-None-Exist is not looked at
  late:S       stored, answered late        status:CODE[:RETRY-AFTER]   nothing is stored
  drop, half   stored; no, half an answer   entry:CODE   this status for the last entry, nothing is stored
  stored-500   stored, answered 500         accepted     202, nothing is stored
  short, wrong, no-bundle, endless          stored, with an answer that fits badly

--kind smtp: a mail server; --login NAME:PASSWORD, --certificate and --implicit-tls
  accept       250 (the default)            late:S       250 after S seconds
  busy[:CODE]  451 after the content        refuse[:CODE]  554 after the content
  greylist     450 to the recipient         no-such-box  550 to the recipient
  drop-before  ends before the content      drop-after   kept, ends without an answer

--kind sftp: a folder with inbox, receipts and errors; wants --folder and --login, or --authorized-keys
  receipt      receipts/NAME.ok (the default)  late:S    the receipt comes after S seconds
  no-receipt   the file lies there          wrong-receipt  it gives another file's SHA-256
  reject       errors/NAME.err              deny         no permission to write
  take-away    moved away, then a receipt   take-silently  moved away, no receipt
  disk-full[:OCTETS]  writing fails         drop[:OCTETS]  the connection ends
  drop-rename  ends when the file has its name           no-reading   nothing can be read back

--kind webhook: a web service for signed posts; --key FILE, at most two
  echo         {"received": ID}, signed (the default)    unsigned, forged   the same, without or badly signed
  plain        202 without content          wrong-echo   names another report
  late:S       echo after S seconds         status:CODE[:RETRY-AFTER]   not kept
  drop, half   kept; no, half an answer     endless      kept; a megabyte of blanks

examples:
  inr-gateway simulate provider --port 2575 --ledger provider.jsonl --misbehave 2=silent --misbehave 5=AE:207
  inr-gateway simulate provider --kind sftp --folder partner --login inr:secret --misbehave '*=late:30'
"""


class FarEnd(Protocol):
    """What every far end can do."""

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen."""

    async def stop(self) -> None:
        """Stop listening."""


def add_arguments(what: Any) -> None:
    """Declare the provider; `what` is argparse's collection of sub-commands."""
    provider = what.add_parser(
        "provider",
        help="a provider's system that takes HL7, FHIR, mail, files or signed posts",
        description=_WORDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    provider.add_argument("--kind", choices=tuple(_KINDS), default="mllp", help="default: %(default)s")
    provider.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    provider.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    provider.add_argument("--ledger", metavar="FILE", type=Path, help="store every message here (JSON lines)")
    provider.add_argument("--misbehave", metavar="WHICH=HOW", action="append", default=[], help="see above")
    provider.add_argument("--login", metavar="NAME:PASSWORD", help="fhir, smtp, sftp: who may come in")
    provider.add_argument("--certificate", metavar="FILE", type=Path, help="not sftp: PEM, with its key")
    provider.add_argument("--client-ca", metavar="FILE", type=Path, help="mllp: PEM of the clients' authority")
    provider.add_argument("--implicit-tls", action="store_true", help="smtp: TLS from the first octet")
    provider.add_argument("--folder", metavar="DIR", type=Path, help="sftp: the partner's folder")
    provider.add_argument("--authorized-keys", metavar="FILE", type=Path, help="sftp: who may come in by key")
    provider.add_argument("--host-key", metavar="FILE", type=Path, help="sftp: private key; default: a new one")
    provider.add_argument(
        "--key", metavar="FILE", type=Path, action="append", default=[], help="webhook: a signing key"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the far end until it gets SIGTERM: 0 told to stop, 1 cannot listen, 2 not understood."""
    import asyncio

    from simulators.ledger import Ledger

    async def serve(far_end: FarEnd) -> int:
        stop = asyncio.Event()
        for which in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(which, stop.set)
        try:
            host, port = await far_end.start(arguments.host, arguments.port)
        except (OSError, OverflowError) as error:
            print(f"{arguments.host}:{arguments.port}: cannot listen there: {error}", file=sys.stderr)
            return 1
        ready: dict[str, object] = {"ready": "provider", "kind": arguments.kind, "host": host, "port": port}
        if fingerprint := getattr(far_end, "fingerprint", ""):
            ready["host_key"] = fingerprint
        say(ready)
        await stop.wait()
        await far_end.stop()
        return 0

    ledger = Ledger(arguments.ledger)
    try:
        return asyncio.run(serve(_KINDS[arguments.kind](arguments, ledger)))
    except _WordsError as error:
        print(error, file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(f"--kind {arguments.kind} needs the package {error.name}, which is not installed", file=sys.stderr)
        return 1
    finally:
        ledger.close()


class _WordsError(Exception):
    """What stands on the command line cannot be used."""


def _mllp(arguments: argparse.Namespace, ledger: Ledger) -> FarEnd:
    import ssl

    from simulators.provider.behaviour import Behaviour
    from simulators.provider.server import Provider

    tls = _tls(arguments)
    if arguments.client_ca is not None:
        if tls is None:
            raise _WordsError("--client-ca needs --certificate")
        try:
            tls.load_verify_locations(arguments.client_ca)
        except OSError as error:  # ssl's own among them
            raise _WordsError(f"{arguments.client_ca}: no certificate: {error.strerror}") from None
        tls.verify_mode = ssl.CERT_REQUIRED
    return Provider(ledger, _schedule(arguments, Behaviour), tls=tls)


def _fhir(arguments: argparse.Namespace, ledger: Ledger) -> FarEnd:
    from simulators.provider.fhir import FhirProvider
    from simulators.provider.fhir_behaviour import FhirBehaviour
    from simulators.provider.oauth import Client, Tokens

    tokens = None
    for name, password in _login(arguments).items():
        tokens = Tokens(Client(name, password))
    return FhirProvider(ledger, _schedule(arguments, FhirBehaviour), tokens=tokens, tls=_tls(arguments))


def _smtp(arguments: argparse.Namespace, ledger: Ledger) -> FarEnd:
    from simulators.provider.mail import MailBehaviour, MailServer

    tls = _tls(arguments)
    if arguments.implicit_tls and tls is None:
        raise _WordsError("--implicit-tls needs --certificate")
    schedule = _schedule(arguments, MailBehaviour)
    return MailServer(ledger, schedule, tls=tls, implicit=arguments.implicit_tls, users=_login(arguments))


def _sftp(arguments: argparse.Namespace, ledger: Ledger) -> FarEnd:
    from simulators.provider.files import FileBehaviour, FileServer

    if arguments.folder is None:
        raise _WordsError("--kind sftp needs --folder")
    if arguments.login is None and arguments.authorized_keys is None:
        raise _WordsError("--kind sftp needs --login NAME:PASSWORD or --authorized-keys; nobody could come in")
    keys = "" if arguments.authorized_keys is None else _read(arguments.authorized_keys).decode()
    host_key = None if arguments.host_key is None else _read(arguments.host_key)
    schedule = _schedule(arguments, FileBehaviour)
    return FileServer(ledger, arguments.folder, schedule, users=_login(arguments), keys=keys, host_key=host_key)


def _webhook(arguments: argparse.Namespace, ledger: Ledger) -> FarEnd:
    from simulators.provider.webhook import PostBehaviour, PostServer

    keys = tuple(_read(path).strip() for path in arguments.key)
    return PostServer(ledger, _schedule(arguments, PostBehaviour), keys=keys, tls=_tls(arguments))


_KINDS: dict[str, Callable[[argparse.Namespace, Ledger], FarEnd]] = {
    "mllp": _mllp,
    "fhir": _fhir,
    "smtp": _smtp,
    "sftp": _sftp,
    "webhook": _webhook,
}


def _schedule(arguments: argparse.Namespace, behaviour: Any) -> Any:
    """The script of a far end; `behaviour` is its class."""
    from simulators.provider.schedule import Schedule

    try:
        return Schedule.read(arguments.misbehave, behaviour.parse, behaviour())
    except ValueError as error:
        raise _WordsError(f"--misbehave {error}") from None


def _login(arguments: argparse.Namespace) -> dict[str, str]:
    if arguments.login is None:
        return {}
    name, colon, password = arguments.login.partition(":")
    if not colon or not name or not password:
        raise _WordsError("--login is written NAME:PASSWORD")
    return {name: password}


def _tls(arguments: argparse.Namespace) -> ssl.SSLContext | None:
    import ssl

    if arguments.certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(arguments.certificate)
    except OSError as error:  # ssl's own among them
        raise _WordsError(f"{arguments.certificate}: no certificate with its key: {error.strerror}") from None
    return context


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _WordsError(f"{path}: cannot be read: {error.strerror}") from None
