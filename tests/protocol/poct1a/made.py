"""Documents made for tests, and a host that commits to a list and then confirms, as the hub does."""

from __future__ import annotations

from drivers.contract import Context, Event, Finished, Piece, Rejected, Send, Session


class Host:
    """Does what the hub does: commits to a list, then confirms. Remembers everything that came out."""

    def __init__(self, session: Session, *, full: bool = False) -> None:
        self.session = session
        self.full = full
        self.now_s = 0.0
        self.journal: list[bytes] = []
        self.contexts: list[bytes] = []
        self.messages: list[list[bytes]] = []
        self.rejected: list[Rejected] = []
        self.finished: list[Finished] = []
        self.log: list[tuple[str, bytes]] = []

    def open(self) -> bytes:
        return self.follow(self.session.opened(self.now_s))

    def receive(self, octets: bytes) -> bytes:
        return self.follow(self.session.receive(octets, self.now_s))

    def wait(self, seconds: float) -> bytes:
        self.now_s += seconds
        return self.follow(self.session.tick(self.now_s))

    def lost(self) -> None:
        assert self.follow(self.session.lost(self.now_s)) == b""

    def follow(self, events: list[Event]) -> bytes:
        sent = b""
        todo = list(events)
        while todo:
            event = todo.pop(0)
            if isinstance(event, Send):
                sent += event.octets
                self.log.append(("send", event.octets))
            elif isinstance(event, Context):
                self.contexts.append(event.octets)
                self.log.append(("context", event.octets))
            elif isinstance(event, Piece):
                assert event.starts_message
                assert event.ends_message
                assert not todo, "nothing may follow a piece before it is confirmed"
                if self.full:
                    todo = self.session.refuse(self.now_s)
                else:
                    self.journal.append(event.octets)
                    self.messages.append([*self.contexts, event.octets])
                    self.log.append(("commit", event.octets))
                    todo = self.session.confirm(self.now_s)
            elif isinstance(event, Rejected):
                self.rejected.append(event)
                self.log.append(("rejected", event.octets))
            elif isinstance(event, Finished):
                self.finished.append(event)
                self.log.append(("finished", str(event.error).encode()))
        return sent


def document(name: str, body: str = "", control_id: str | None = "7") -> bytes:
    identifier = "" if control_id is None else f'<HDR.control_id V="{control_id}"/>'
    return f"<{name}><HDR>{identifier}<HDR.version_id V='POCT1'/></HDR>{body}</{name}>".encode()


def hello(control_id: str = "1", abilities: str = "", *, offset: str = "-04:00") -> bytes:
    return (
        f'<HEL.R01><HDR><HDR.control_id V="{control_id}"/><HDR.version_id V="POCT1"/>'
        f'<HDR.creation_dttm V="2026-03-14T07:59:58{offset}"/></HDR><DEV><DEV.vendor_id V="CoaguSense"/>'
        f'<DEV.model_id V="PT2"/><DEV.serial_id V="S1"/><DEV.sw_version V="1.0"/>'
        f'<DCP><DCP.application_timeout V="60"/></DCP><DSC><DSC.connection_profile_cd V="SA"/>{abilities}</DSC>'
        "</DEV></HEL.R01>"
    ).encode()


def status(qty: str | None = "1", *, at: str = "2026-03-14T08:00:00", more: str = "") -> bytes:
    quantity = "" if qty is None else f'<DST.new_observations_qty V="{qty}"/>'
    return document("DST.R01", f'<DST><DST.status_dttm V="{at}"/>{quantity}{more}</DST>', "2")


def service(
    inr: str = '<OBS.value V="2.5"/>',
    pt: str | None = '<OBS.value V="29.6" U="s"/>',
    *,
    role: str | None = "OBS",
    status_cd: str = "NRM",
    interpretation: str = "N",
    fields: str = "",
    subject: str = "PT",
    after: str = "",
) -> str:
    said = "" if role is None else f'<SVC.role_cd V="{role}"/>'
    seconds = "" if pt is None else f'<OBS><OBS.observation_id V="5902-2" SN="LN"/>{pt}</OBS>'
    return (
        f'<SVC>{said}<SVC.observation_dttm V="2026-03-14T07:28:00"/><SVC.status_cd V="{status_cd}"/>{fields}'
        f'<{subject}><OBS><OBS.observation_id V="34714-6" DN="INR" SN="LN"/>{inr}<OBS.status_cd V="A"/>'
        f'<OBS.interpretation_cd V="{interpretation}"/></OBS>{seconds}</{subject}>{after}</SVC>'
    )


def observation(body: str | None = None, control_id: str = "3", name: str = "OBS.R01") -> bytes:
    return document(name, service() if body is None else body, control_id)
