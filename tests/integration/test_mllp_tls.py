"""MLLP over TLS against the simulated provider: who is trusted, what is shown, and words with a remedy."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from pydantic import ValidationError

from gateway.clock import Clock
from gateway.reporting.channels import channel, mllp_probe
from gateway.reporting.channels.base import Answer, Circumstances, Outcome, Trial
from gateway.reporting.channels.mllp import MllpSender
from gateway.reporting.channels.mllp_settings import MllpSettings
from gateway.reporting.configuration import Delivery as Settings
from gateway.reporting.delivery import Delivery
from gateway.reporting.secrets import Secrets
from simulators.ledger import Ledger
from simulators.provider.behaviour import Script
from simulators.provider.server import Provider
from tests.bench.test_delivery_rate import far_end, simulated
from tests.integration.certificates import Certificates
from tests.unit.reporting import receivers
from tests.unit.reporting.examples import reportable
from tests.unit.reporting.receivers import receiver, within
from tests.unit.reporting.stores import Store

PATIENCE = Settings(connect_timeout_s=5, answer_timeout_s=5)
LOST = "closed the connection without an answer; does it take our certificate (setting client_certificate)?"
"""What is left where a receiver's alert was lost: it closed with our message unread, so its system sent a reset."""


class Trust:
    """The receivers' authority, ours, and a folder of secrets."""

    def __init__(self, folder: Path, far: Certificates, near: Certificates) -> None:
        folder.mkdir(mode=0o700)
        self.folder, self.secrets = folder, Secrets(folder)
        self.far, self.near = far, near
        self.keep("far-ca.pem", far.authority.read_bytes())
        self.keep("near-ca.pem", near.authority.read_bytes())
        self.client()

    def keep(self, name: str, content: bytes) -> None:
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(0o600)

    def client(self, **changes: Any) -> None:
        """Our certificate by our own authority: chain and key in one file, and the key in a file of its own too."""
        certificate, key = self.near.issue("client", **changes)
        self.keep("client.pem", certificate.read_bytes() + key.read_bytes())
        self.keep("client-only.pem", certificate.read_bytes())
        self.keep("client.key", key.read_bytes())

    def server(self, *, wants_client: bool = False, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        context = self.far.server()
        if wants_client:
            context.load_verify_locations(self.near.authority)
            context.verify_mode = ssl.CERT_REQUIRED
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Certificates, Certificates]:
    return (
        Certificates(tmp_path_factory.mktemp("far"), "Far authority"),
        Certificates(tmp_path_factory.mktemp("near"), "Near authority"),
    )


@pytest.fixture
def trust(authorities: tuple[Certificates, Certificates], tmp_path: Path) -> Trust:
    return Trust(tmp_path / "secrets", *authorities)


@asynccontextmanager
async def provider(tls: ssl.SSLContext | None, *script: str) -> AsyncIterator[tuple[int, Ledger]]:
    ledger = Ledger()
    serving = Provider(ledger, Script.parse(script), tls=tls)
    _, port = await serving.start()
    try:
        yield port, ledger
    finally:
        await serving.stop()


async def send(trust: Trust, port: int, host: str = "localhost", **wanted: Any) -> Answer:
    settings = MllpSettings(**{"ca": "far-ca.pem", **wanted})
    sender = MllpSender(f"mllps://{host}:{port}", PATIENCE, settings, trust.secrets)
    try:
        way, report = channel("hl7v2"), reportable()
        unable = await sender.open()
        return unable or await sender.send(way.render(report, way.settings()), report.control_id)
    finally:
        await sender.close()


# ---------------------------------------------------------------- what goes well


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    "shown",
    [{"client_certificate": "client.pem"}, {"client_certificate": "client-only.pem", "client_key": "client.key"}],
)
async def test_both_sides_show_certificates_and_the_answer_names_the_receivers(
    trust: Trust, version: ssl.TLSVersion, shown: dict[str, str]
) -> None:
    async with provider(trust.server(wants_client=True, version=version)) as (port, ledger):
        answer = await send(trust, port, **shown)
    assert answer.outcome is Outcome.DELIVERED
    assert answer.certificate == trust.far.fingerprint
    assert [line["control_id"] for line in ledger.lines] == [reportable().control_id]


async def test_a_receiver_without_client_certificates_and_another_name(trust: Trust) -> None:
    trust.far.issue("other", "ehr.example")
    async with provider(trust.far.server("other")) as (port, _):
        answer = await send(trust, port, host="127.0.0.1", server_name="ehr.example")
    assert answer.outcome is Outcome.DELIVERED


async def test_what_is_no_answer_is_none_over_tls_either(trust: Trust) -> None:
    async with provider(trust.server(), "1=hang-up", "2=wrong-id") as (port, ledger):
        for _ in range(2):
            answer = await send(trust, port)
            assert answer.outcome is Outcome.AMBIGUOUS
            assert answer.certificate == trust.far.fingerprint
        assert (await send(trust, port)).outcome is Outcome.DELIVERED
    assert [line["copy"] for line in ledger.lines] == [1, 2, 3]


async def test_a_new_certificate_holds_without_a_restart(trust: Trust) -> None:
    trust.client(begins_day=-3, ends_day=-2)
    settings = MllpSettings(ca="far-ca.pem", client_certificate="client.pem")
    async with provider(trust.server(wants_client=True, version=ssl.TLSVersion.TLSv1_2), "*=close-after") as (
        port,
        _,
    ):
        sender = MllpSender(f"mllps://localhost:{port}", PATIENCE, settings, trust.secrets)
        unable = await sender.open()
        assert unable is not None
        assert "(setting client_certificate)" in unable.text
        trust.client()
        assert await sender.open() is None
        await sender.close()


# ---------------------------------------------------------------- words with a remedy


async def test_whose_certificate_has_expired(trust: Trust) -> None:
    trust.far.issue("expired", "localhost", begins_day=-3, ends_day=-2)
    async with provider(trust.far.server("expired")) as (port, ledger):
        answer = await send(trust, port)
    assert answer.outcome is Outcome.NOT_SENT
    assert (
        "the receiver's certificate, or its authority's in the secret far-ca.pem (setting ca), has exp"
        in answer.text
    )
    assert "renewed" in answer.text
    assert ledger.lines == []


async def test_whose_certificate_is_not_valid_yet(trust: Trust) -> None:
    trust.far.issue("early", "localhost", begins_day=2, ends_day=3)
    async with provider(trust.far.server("early")) as (port, _):
        answer = await send(trust, port)
    assert answer.outcome is Outcome.NOT_SENT
    assert "not valid yet; check this machine's clock" in answer.text


@pytest.mark.parametrize(
    ("ca", "words"),
    [
        ("near-ca.pem", "is not in the secret near-ca.pem (setting ca); add it to that file"),
        (None, "is not in what this machine trusts; name a file with it in the setting ca"),
    ],
)
async def test_an_unknown_authority(trust: Trust, ca: str | None, words: str) -> None:
    async with provider(trust.server()) as (port, _):
        answer = await send(trust, port, ca=ca)
    assert answer.outcome is Outcome.NOT_SENT
    assert words in answer.text


@pytest.mark.parametrize(
    ("host", "server_name"), [("localhost", None), ("127.0.0.1", None), ("localhost", "b.example")]
)
async def test_a_certificate_for_another_name(trust: Trust, host: str, server_name: str | None) -> None:
    trust.far.issue("other", "ehr.example")
    async with provider(trust.far.server("other")) as (port, _):
        answer = await send(trust, port, host=host, server_name=server_name)
    assert answer.outcome is Outcome.NOT_SENT
    assert f"does not name {server_name or host}; correct the address, or give the name" in answer.text
    assert "setting server_name" in answer.text


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_receiver_that_wants_a_certificate_of_us(trust: Trust, version: ssl.TLSVersion) -> None:
    """With TLS 1.3 it says so only after the handshake: by then the message is on its way, and arrives nowhere."""
    with receiver(receivers.accepts, tls=trust.server(wants_client=True, version=version)) as far_end:
        answer = await send(trust, far_end.port)
        assert far_end.messages == []
    early = version is ssl.TLSVersion.TLSv1_2
    assert answer.outcome is (Outcome.NOT_SENT if early else Outcome.AMBIGUOUS)
    if early or "wants" in answer.text:
        assert "the receiver wants a certificate of us" in answer.text
        assert "name one in the setting client_certificate" in answer.text
    else:
        assert LOST in answer.text


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("fault", ["expired", "unknown"])
async def test_a_receiver_that_refuses_our_certificate(trust: Trust, version: ssl.TLSVersion, fault: str) -> None:
    if fault == "expired":
        trust.client(begins_day=-3, ends_day=-2)
    else:
        certificate, key = trust.far.issue("client")
        trust.keep("client.pem", certificate.read_bytes() + key.read_bytes())
    with receiver(receivers.accepts, tls=trust.server(wants_client=True, version=version)) as far_end:
        answer = await send(trust, far_end.port, client_certificate="client.pem")
        assert far_end.messages == []
    assert answer.outcome in (Outcome.NOT_SENT, Outcome.AMBIGUOUS)
    assert "(setting client_certificate)" in answer.text
    if version is ssl.TLSVersion.TLSv1_2 or "refuses" in answer.text:
        assert "the receiver refuses our certificate, the secret client.pem (" in answer.text
        assert ("certificate expired" if fault == "expired" else "unknown ca") in answer.text
    else:
        assert LOST in answer.text


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_receiver_that_refuses_our_certificate_without_a_word(
    trust: Trust, version: ssl.TLSVersion
) -> None:
    """As asyncio's servers do: they close and send no alert."""
    async with provider(trust.server(wants_client=True, version=version)) as (port, ledger):
        answer = await send(trust, port)
    assert answer.outcome in (Outcome.NOT_SENT, Outcome.AMBIGUOUS)
    assert "does it take our certificate (setting client_certificate)?" in answer.text
    assert ledger.lines == []


async def test_a_receiver_without_the_wanted_version(trust: Trust) -> None:
    with receiver(receivers.accepts, tls=trust.server(version=ssl.TLSVersion.TLSv1_2)) as far_end:
        assert (await send(trust, far_end.port)).outcome is Outcome.DELIVERED
        answer = await send(trust, far_end.port, minimum_tls="1.3")
    assert answer.outcome is Outcome.NOT_SENT
    assert "speaks no TLS 1.3 (setting minimum_tls)" in answer.text


async def test_one_side_speaks_tls_and_the_other_does_not(trust: Trust) -> None:
    with receiver(receivers.accepts, tls=trust.server()) as far_end:
        sender = MllpSender(f"mllp://localhost:{far_end.port}", PATIENCE)
        assert await sender.open() is None
        answer = await sender.send(b"MSH|x\r", "X")
        await sender.close()
        assert answer.outcome is Outcome.AMBIGUOUS
        assert far_end.messages == []
    async with provider(None) as (port, _):
        quick = Settings(connect_timeout_s=0.5)
        sender = MllpSender(f"mllps://localhost:{port}", quick, MllpSettings(ca="far-ca.pem"), trust.secrets)
        unable = await sender.open()
        await sender.close()
    assert unable is not None
    assert unable.text == "no TLS connection within 0.5 s"


async def test_an_alert_on_a_line_in_the_clear_says_what_to_write() -> None:
    with receiver(receivers.answers(lambda _name: b"\x15\x03\x01\x00\x02\x02\x46")) as far_end:
        sender = MllpSender(far_end.address, PATIENCE)
        assert await sender.open() is None
        answer = await sender.send(b"MSH|^~\\&|||||||||X\r", "X")
        await sender.close()
    assert answer.outcome is Outcome.AMBIGUOUS
    assert "the receiver speaks TLS, so write the address as mllps://" in answer.text


async def talks(octets: bytes) -> str:
    """What the sender says of a far end that answers a handshake so, and closes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(octets)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sender = MllpSender(f"mllps://127.0.0.1:{port}", PATIENCE)
    unable = await sender.open()
    server.close()
    await server.wait_closed()
    assert unable is not None
    assert unable.outcome is Outcome.NOT_SENT
    return unable.text


async def test_what_answers_is_no_tls() -> None:
    assert "no TLS; write the address as mllp://" in await talks(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert "ended the connection during the TLS handshake" in await talks(b"")


# ---------------------------------------------------------------- files and settings that cannot be used


def encrypted(trust: Trust) -> bytes:
    key = serialization.load_pem_private_key((trust.folder / "client.key").read_bytes(), None)
    kind = serialization.BestAvailableEncryption(b"secret")
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, kind)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"ca": "nobody.pem"}, "nobody.pem: cannot be read"),
        ({"ca": "noise.pem"}, "noise.pem: no certificates of authorities \\(setting ca\\); put them there in PEM"),
        ({"ca": "client.key"}, "client.key: no certificates of authorities"),
        ({"client_certificate": "client-only.pem"}, "client-only.pem .*: no certificate with its private key"),
        ({"client_certificate": "noise.pem"}, "noise.pem .*: no certificate with its private key"),
        (
            {"client_certificate": "client-only.pem", "client_key": "other.key"},
            "other.key .setting client_key.: key and certificate do not belong together",
        ),
        (
            {"client_certificate": "client-only.pem", "client_key": "locked.key"},
            "locked.key: the private key wants a password; put it there without",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_named(trust: Trust, wanted: dict[str, str], words: str) -> None:
    trust.keep("noise.pem", os.urandom(100))
    trust.keep("other.key", trust.far.issue("unrelated")[1].read_bytes())
    trust.keep("locked.key", encrypted(trust))
    with pytest.raises(ValueError, match=words):
        MllpSender("mllps://localhost:1", PATIENCE, MllpSettings(**wanted), trust.secrets)  # type: ignore[arg-type]


def test_tls_settings_never_go_with_a_line_in_the_clear(trust: Trust) -> None:
    with pytest.raises(
        ValueError, match="ca, server_name: TLS is set for mllp://h:1; write the address as mllps://"
    ):
        MllpSender("mllp://h:1", PATIENCE, MllpSettings(ca="far-ca.pem", server_name="x"), trust.secrets)


@pytest.mark.parametrize(
    "wanted", [{"client_key": "k"}, {"ca": "../ca"}, {"server_name": "a b"}, {"minimum_tls": "1.1"}]
)
def test_settings_that_make_no_sense(wanted: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MllpSettings(**wanted)


@pytest.mark.parametrize("name", ["hl7v2", "pcd01"])
def test_addresses_of_both_channels(name: str) -> None:
    for address in ("mllp://127.0.0.1:2575", "mllps://ehr.example:2576"):
        assert channel(name).check_address(address) == address
    with pytest.raises(ValueError, match="mllps://host:port for TLS"):
        channel(name).check_address("https://ehr.example")


# ---------------------------------------------------------------- through the whole delivery, and the probe


def test_the_certificate_is_kept_with_the_evidence(trust: Trust, tmp_path: Path) -> None:
    server, key = trust.far.issue("served", "localhost")
    both = tmp_path / "both.pem"
    both.write_bytes(server.read_bytes() + key.read_bytes())
    words = simulated("--certificate", str(both), "--client-ca", str(trust.near.authority))
    store = Store(tmp_path / "store.db")
    with far_end(*words) as address:
        store.provider(
            "a",
            address.replace("mllp://127.0.0.1", "mllps://localhost"),
            settings='{"ca": "far-ca.pem", "client_certificate": "client.pem"}',
        )
        store.patient("p", "a")
        store.results("p", 3)
        delivery = Delivery(store.path, Settings(secrets=trust.folder, poll_s=0.05), store.clock, "rig")
        delivery.start()
        try:
            within(20, lambda: store.value("SELECT count(*) FROM evidence WHERE level = 'delivered'") == 3)
        finally:
            delivery.stop()
    (kept,) = {row[0] for row in store.rows("SELECT certificate FROM evidence")}
    store.close()
    certificate = x509.load_pem_x509_certificate(server.read_bytes())
    assert kept == certificate.fingerprint(hashes.SHA256()).hex()


async def test_the_probe_speaks_tls_and_says_when_a_line_is_in_the_clear(
    trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mllp_probe, "CLOSES_AT_ONCE_S", 0.05)
    around = Circumstances(PATIENCE, trust.secrets, Clock())
    way = channel("pcd01")
    count = iter(range(10))

    def trial(_family_name: str) -> Trial:
        report = reportable(control_id=f"TRIAL{next(count)}", processing_id="T")
        return Trial(report, way.render(report, way.settings()))

    assert way.probe is not None
    async with provider(trust.server()) as (port, ledger):
        found = await way.probe(f"mllps://localhost:{port}", way.settings(ca="far-ca.pem"), around, trial)
        assert [each.name for each in found] == ["takes-a-repetition"]
        assert len(ledger.lines) == 4
        found = await way.probe(f"mllps://localhost:{port}", way.settings(ca="near-ca.pem"), around, trial)
    assert [(each.name, each.danger) for each in found] == [("unreachable", True)]
    assert "near-ca.pem" in found[0].text
    hasty = Circumstances(Settings(connect_timeout_s=0.01), trust.secrets, Clock())
    found = await way.probe("mllp://192.0.2.1:2575", way.settings(), hasty, trial)
    assert [(each.name, each.danger) for each in found] == [("not-encrypted", True), ("unreachable", True)]
