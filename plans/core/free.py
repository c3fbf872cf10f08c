"""Free records: what one person may have read or published again in a day without a second person. Pure.

The database counts them (migrations/sql/free.sql); here is what its numbers mean in words.
"""

from __future__ import annotations

from dataclasses import dataclass

from audit.core.phrases import count


@dataclass(frozen=True)
class FreeRecords:
    """`most`: of a person, stream and day (UTC), by the stream's newest contract. `used`: by the plan's requester
    today. `records`: of the plan; None where it wants a second person, however small it is."""

    most: int = 0
    used: int = 0
    records: int | None = None

    @property
    def left(self) -> int:
        return max(self.most - self.used, 0)

    @property
    def alone(self) -> bool:
        """Whether its requester may start the plan alone."""
        return self.records is not None and self.records <= self.most - self.used

    @property
    def says(self) -> str:
        """What whoever asked is told; "" where the contract gives nobody any."""
        if not self.most:
            return ""
        if self.records is None:
            return "Not free: a plan like this one always wants a second person."
        told = f"free: {self.left:,} of {count(self.most, 'record')} left today"
        return (
            f"{told}, for this plan's {self.records:,}." if self.alone else f"{told}; this plan is of {self.records:,}."
        )
