"""Octets that no meter should send: a conversation that was damaged, and floods without an end."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import strategies as st

from drivers.conformance.conversation import Conversation

__all__ = ["damaged", "floods", "splits"]

CHUNK_OCTETS = 65_536


@st.composite
def damaged(draw: st.DrawFn, conversation: Conversation) -> list[bytes]:
    """Turns of the conversation with octets changed, removed, inserted, doubled, out of order or replaced."""
    turns = list(conversation.turns)
    for _ in range(draw(st.integers(1, 4))):
        index = draw(st.integers(0, len(turns) - 1))
        turn = turns[index]
        start = draw(st.integers(0, len(turn)))
        stop = draw(st.integers(start, min(len(turn), start + 40)))
        match draw(st.sampled_from(("replace", "remove", "double", "turn again", "swap", "anything"))):
            case "replace":
                turn = turn[:start] + draw(st.binary(max_size=40)) + turn[stop:]
            case "remove":
                turn = turn[:start] + turn[stop:]
            case "double":
                turn = turn[:stop] + turn[start:]
            case "turn again":
                turns.insert(index, turn)
            case "swap":
                other = draw(st.integers(0, len(turns) - 1))
                turns[other], turn = turn, turns[other]
            case _:
                turn = draw(st.binary(max_size=200))
        turns[index] = turn
    return turns


@st.composite
def splits(draw: st.DrawFn, octets: int) -> list[int]:
    """Places at which a stream of so many octets is cut."""
    return sorted(draw(st.sets(st.integers(1, max(1, octets - 1)), max_size=12)))


def floods(conversation: Conversation, octets: int) -> Iterator[tuple[str, bytes, Iterator[bytes]]]:
    """What is wrong, the turns' octets that come first, and an endless rest in chunks."""
    longest = max(conversation.turns, key=len)
    yield "zeros from the first octet", b"", _endless(b"\0", octets)
    yield "one letter from the first octet", b"", _endless(b"A", octets)
    yield "a turn that never ends, in letters", longest[: len(longest) // 2], _endless(b"A", octets)
    yield "a turn that never ends, in high octets", longest[: len(longest) // 2], _endless(b"\xff", octets)
    yield "the start of a turn, again and again", b"", _endless(longest[: max(1, len(longest) // 2)], octets)


def _endless(pattern: bytes, octets: int) -> Iterator[bytes]:
    chunk = (pattern * (CHUNK_OCTETS // len(pattern) + 1))[:CHUNK_OCTETS]
    for _ in range(-(-octets // len(chunk))):
        yield chunk
