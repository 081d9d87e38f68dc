"""TCP on real sockets: dialled, listened, half-open, too many."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import pytest

from drivers.errors import TransportError, TransportReason
from drivers.registry import listen, listens, open_transport
from drivers.transports.tcp import TcpListener, TcpTransport, dial
from tests.unit.drivers.conftest import reasons_of_a_read_that_close_ends

Server = tuple[str, Callable[[], socket.socket]]


class TestDial:
    def test_octets_go_both_ways(self, server: Server) -> None:
        address, accept = server
        with open_transport(address, baudrate=9600, parity="N", connect_timeout_s=5) as transport:
            assert (transport.kind, transport.peer) == ("tcp", address)
            far = accept()
            far.sendall(b"\x05")
            assert transport.read(10, 5) == b"\x05"
            transport.write(b"\x06")
            assert far.recv(10) == b"\x06"

    def test_silence_gives_nothing_when_the_time_is_over(self, server: Server) -> None:
        with dial(server[0]) as transport:
            assert transport.read(10, 0.02) == b""

    def test_what_arrived_before_the_end_is_read_before_the_error(self, server: Server) -> None:
        with dial(server[0]) as transport:
            far = server[1]()
            far.sendall(b"last words")
            far.close()
            assert transport.read(4, 5) == b"last"
            assert transport.read(100, 5) == b" words"
            with pytest.raises(TransportError, match="far end closed") as raised:
                transport.read(10, 5)
            assert raised.value.reason is TransportReason.CLOSED

    @pytest.mark.parametrize(
        ("address", "reason"),
        [
            ("tcp://127.0.0.1:1", TransportReason.NOT_FOUND),
            ("tcp://no-such-host.invalid:4001", TransportReason.NOT_FOUND),
            ("tcp://127.0.0.1", TransportReason.MISCONFIGURED),
            ("tcp://127.0.0.1:99999", TransportReason.MISCONFIGURED),
            ("tcp://:4001", TransportReason.MISCONFIGURED),
            ("tcp://127.0.0.1:0", TransportReason.MISCONFIGURED),
        ],
    )
    def test_what_cannot_be_reached_says_why(self, address: str, reason: TransportReason) -> None:
        with pytest.raises(TransportError, match=address) as raised:
            dial(address)
        assert raised.value.reason is reason

    def test_a_far_end_that_takes_nothing_is_given_up(self, server: Server) -> None:
        with dial(server[0], write_timeout_s=0.2) as transport:
            server[1]()
            with pytest.raises(TransportError) as raised:
                transport.write(b"x" * 100_000_000)
            assert raised.value.reason is TransportReason.TIMED_OUT

    def test_a_reset_is_an_error(self, server: Server) -> None:
        with dial(server[0]) as transport:
            far = server[1]()
            far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            far.close()
            with pytest.raises(TransportError) as raised:
                transport.read(10, 5)
            assert raised.value.reason is TransportReason.CLOSED

    def test_closing_ends_a_read_in_another_thread(self, server: Server) -> None:
        transport = dial(server[0])
        server[1]()
        assert reasons_of_a_read_that_close_ends(transport) == [TransportReason.CLOSED]
        transport.close()
        with pytest.raises(TransportError):
            transport.read(1, 0)


class TestListen:
    def test_a_meter_that_connects(self) -> None:
        with listen("tcp-listen://:0") as listener:
            assert listener.address.startswith("tcp-listen://127.0.0.1:")
            port = int(listener.address.rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port)) as far:
                transport = listener.accept(5)
                assert transport is not None
                assert transport.kind == "tcp"
                assert transport.peer == f"tcp://127.0.0.1:{far.getsockname()[1]}"
                far.sendall(b"\x05")
                assert transport.read(10, 5) == b"\x05"
                transport.close()
                assert far.recv(1) == b""

    def test_nobody_connects(self) -> None:
        with listen("tcp-listen://127.0.0.1:0") as listener:
            assert listener.accept(0.02) is None

    def test_ipv6(self) -> None:
        try:
            listener = TcpListener("tcp-listen://[::1]:0")
        except TransportError:
            pytest.skip("no IPv6 on this machine")
        with listener:
            assert listener.address == f"tcp-listen://[::1]:{listener.port}"
            with dial(f"tcp://[::1]:{listener.port}"):
                transport = listener.accept(5)
                assert transport is not None
                assert transport.peer.startswith("tcp://[::1]:")
                transport.close()

    def test_too_many_are_turned_away_until_one_leaves(self) -> None:
        with TcpListener("tcp-listen://:0", max_connections=2) as listener:
            far = [socket.create_connection(("127.0.0.1", listener.port)) for _ in range(4)]
            accepted = [listener.accept(5), listener.accept(5)]
            assert listener.accept(0.05) is None
            assert listener.refused == 2
            for connection in far[2:]:
                connection.settimeout(5)
                assert connection.recv(1) == b"", "turned away"
            assert accepted[0] is not None
            accepted[0].close()
            far.append(socket.create_connection(("127.0.0.1", listener.port)))
            accepted.append(listener.accept(5))
            assert accepted[-1] is not None
            for transport in accepted:
                assert transport is not None
                transport.close()
            for connection in far:
                connection.close()

    def test_a_silent_half_open_connection_is_given_up(self) -> None:
        with (
            TcpListener("tcp-listen://:0", idle_timeout_s=0.1) as listener,
            socket.create_connection(("127.0.0.1", listener.port)) as far,
        ):
            transport = listener.accept(5)
            assert transport is not None
            far.sendall(b"x")
            assert transport.read(10, 5) == b"x"
            with transport, pytest.raises(TransportError, match="nothing came") as raised:
                transport.read(10, 0.2)
            assert raised.value.reason is TransportReason.TIMED_OUT

    def test_dead_far_ends_are_probed(self, server: Server) -> None:
        with dial(server[0]) as transport:
            assert isinstance(transport, TcpTransport)
            assert transport._socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert transport._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 60

    def test_an_address_in_use_says_so(self) -> None:
        with TcpListener("tcp-listen://:0") as listener:
            with pytest.raises(TransportError, match="another program") as raised:
                TcpListener(listener.address)
            assert raised.value.reason is TransportReason.BUSY

    @pytest.mark.parametrize(
        ("address", "reason"),
        [
            ("tcp://127.0.0.1:0", TransportReason.MISCONFIGURED),
            ("tcp-listen://nonsense", TransportReason.MISCONFIGURED),
            ("tcp-listen://203.0.113.7:0", TransportReason.NOT_FOUND),
        ],
    )
    def test_where_nobody_can_listen_says_why(self, address: str, reason: TransportReason) -> None:
        with pytest.raises(TransportError, match=address) as raised:
            listen(address)
        assert raised.value.reason is reason

    def test_closing_ends_an_accept_in_another_thread(self) -> None:
        listener = TcpListener("tcp-listen://:0")
        reasons: list[object] = []
        started = threading.Event()

        def accept() -> None:
            started.set()
            try:
                while listener.accept(0.5) is None:
                    pass
            except TransportError as error:
                reasons.append(error.reason)

        thread = threading.Thread(target=accept)
        thread.start()
        assert started.wait(5)
        listener.close()
        thread.join(5)
        assert reasons == [TransportReason.CLOSED]

    def test_which_addresses_are_listened_at(self) -> None:
        assert listens("tcp-listen://:4001")
        assert not listens("tcp://127.0.0.1:4001")
        assert not listens("/dev/ttyS0")
