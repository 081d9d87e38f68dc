"""Trying an MLLP receiver before it goes live: the same message twice, another one after it, a name outside ASCII.

MLLP has no way to ask what a receiver stored. What it does with a repeated control id is seen in its answer alone;
that one copy is in the chart is for a person there to confirm, and the probe says under which control id to look.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.reporting.channels import hl7v2_answer
from gateway.reporting.channels.addresses import loopback
from gateway.reporting.channels.base import Circumstances, Finding, MakeTrial, Outcome, Trial
from gateway.reporting.channels.hl7v2_answer import Acknowledgement
from gateway.reporting.channels.mllp_line import CLOSES_AT_ONCE_S, Line, NoAnswerError, frame
from gateway.reporting.channels.mllp_reach import Reach, UnreachableError
from gateway.reporting.channels.mllp_settings import MllpSettings

__all__ = ["probe"]

UNSUPPORTED_PROCESSING = "202"


@dataclass(slots=True)
class _Heard:
    """What came after one message: the acknowledgements in order, None for what is none, and how it ended."""

    answers: list[Acknowledgement | None] = field(default_factory=list)
    took_s: float = 0.0
    failure: str = ""

    def naming(self, trial: Trial) -> list[Acknowledgement]:
        name = trial.report.control_id
        return [each for each in self.answers if each is not None and each.control_id == name]


async def probe(
    address: str, settings: MllpSettings, circumstances: Circumstances, make_trial: MakeTrial
) -> Sequence[Finding]:
    """Say what the receiver at an MLLP address really does."""
    return await _Trying(address, settings, circumstances).everything(make_trial)


class _Trying:
    """One probe: a connection that is made anew when it has ended, and what was found so far."""

    def __init__(self, address: str, settings: MllpSettings, circumstances: Circumstances) -> None:
        self._reach = Reach(address, circumstances.delivery, settings, circumstances.secrets)
        self._settings = settings
        self._delivery = circumstances.delivery
        self._line: Line | None = None
        self._found: dict[str, Finding] = {}

    async def everything(self, make_trial: MakeTrial) -> list[Finding]:
        if not self._reach.address.secure and not loopback(self._reach.address.host):
            text = (
                "mllp:// to another machine travels in the clear; write mllps:// where the receiver speaks TLS, and"
                " accept this only for a line that is protected otherwise"
            )
            self._add("not-encrypted", text, danger=True)
        try:
            await self._try(make_trial)
        except UnreachableError as error:
            self._add("unreachable", str(error), danger=True)
        finally:
            if self._line is not None:
                self._line.close()
        return list(self._found.values())

    async def _try(self, make_trial: MakeTrial) -> None:
        first = make_trial("Probe")
        if not self._accepted(await self._say(first), first, "not-delivered", "a test result"):
            return
        again = await self._say(first)
        if self._accepted(again, first, "repetition-refused", "the same octets again"):
            text = (
                "the same message twice was acknowledged twice; ask there that control id "
                f"{first.report.control_id} is filed once"
            )
            self._add("takes-a-repetition", text)
        second = make_trial("Probe")
        self._accepted(await self._say(second, after=first), second, "second-lost", "a second result")
        accented = make_trial("Prüfung-Œuvré")
        heard = await self._say(accented, after=second)
        if not any(each.code in ("AA", "CA") for each in heard.naming(accented)):
            self._add("no-utf-8", f"a name outside ASCII: {_words(heard)}")

    async def _say(self, trial: Trial, after: Trial | None = None) -> _Heard:
        """Send one message and listen for all that comes within a second of its answer."""
        used = self._line is not None and self._line.clean
        line = await self._connection()
        heard, begun = _Heard(), time.monotonic()
        line.write(frame(trial.octets))
        deadline = begun + self._delivery.answer_timeout_s
        while (left_s := deadline - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(left_s):
                    content = await line.next_frame()
            except TimeoutError:
                break
            except NoAnswerError as problem:
                heard.failure = str(problem)
                break
            heard.answers.append(hl7v2_answer.parse(content))
            if heard.naming(trial) and not heard.took_s:
                heard.took_s = time.monotonic() - begun
                deadline = min(deadline, time.monotonic() + CLOSES_AT_ONCE_S)
        self._habits(heard, trial, after, used=used)
        return heard

    def _habits(self, heard: _Heard, trial: Trial, after: Trial | None, *, used: bool) -> None:
        assert self._line is not None
        if heard.answers and self._line.failure:
            text = "it ends the connection after an answer; each message gets a new one (setting connection_each)"
            self._add("closes-after-each", text)
        first = heard.answers[0] if heard.answers else None
        if used and after is not None and first is not None and first.control_id == after.report.control_id:
            text = (
                "on a connection that is used again it first repeats the answer to the message before; set"
                " connection_each = true, or one message after each start is sent twice"
            )
            self._add("stale-acknowledgements", text)
        if len(heard.naming(trial)) > 1:
            self._add("answers-twice", "it acknowledges one message more than once")
        if heard.took_s > self._delivery.answer_timeout_s / 2:
            self._add("slow", f"an acknowledgement took {heard.took_s:.1f} s")

    def _accepted(self, heard: _Heard, trial: Trial, name: str, what: str) -> bool:
        """Whether a message got the acknowledgement that counts; if not, that is a danger."""
        named = heard.naming(trial)
        if not named:
            others = [each for each in heard.answers if each is not None]
            why = "the answer names another message" if others else heard.failure or "no whole answer in time"
            self._add(name, f"{what}: {why}", danger=True)
            return False
        verdicts = [hl7v2_answer.judge(each, commit_only=self._settings.commit_only) for each in named]
        if any(verdict.outcome is Outcome.DELIVERED for verdict in verdicts):
            return True
        if all(verdict.outcome is None for verdict in verdicts):
            text = (
                "it gives a commit acknowledgement (CA) and no more: nothing counts as delivered unless the "
                "provider agrees to that and the destination has the setting commit_only"
            )
            self._add("commit-only", text, danger=True)
        elif any(UNSUPPORTED_PROCESSING in each.errors for each in named):
            text = f"it takes no test messages (MSH-11 T), so it cannot be tried: {verdicts[-1].text}"
            self._add("takes-no-tests", text, danger=True)
        else:
            self._add(name, f"{what}: {verdicts[-1].text}", danger=True)
        return False

    async def _connection(self) -> Line:
        if self._line is not None and self._line.clean:
            return self._line
        if self._line is not None:
            self._line.close()
        self._line = await self._reach.connect()
        return self._line

    def _add(self, name: str, text: str, *, danger: bool = False) -> None:
        self._found.setdefault(name, Finding(name, danger, text))


def _words(heard: _Heard) -> str:
    said = [f"{each.code} {each.text}".strip() for each in heard.answers if each is not None]
    return ", ".join(said) or heard.failure or "no whole answer in time"
