"""Services beside G0249 that the documents tell of, and what a person should look at before they are billed."""

from __future__ import annotations

from gateway.reporting.documents import kinds
from gateway.reporting.documents.papers import Papers
from gateway.reporting.units.neighbours import Caution, Service, cautions

__all__ = ["cautions_of", "services_of"]


def services_of(papers: Papers) -> list[Service]:
    """Trainings (G0248, 93792) and home infusions (S9336) on record."""
    trainings = [Service(training.code, training.date) for training in papers.of(kinds.Training)]
    return [*trainings, *(Service("S9336", infusion.start) for infusion in papers.of(kinds.Infusion))]


def cautions_of(papers: Papers) -> tuple[Caution, ...]:
    """What speaks against billing them as they stand (rules R33, R36)."""
    return cautions(services_of(papers))
