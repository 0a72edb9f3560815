"""The verdict on a model: ok, suspicious or overfit, with each rule's number and threshold."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    SUSPICIOUS = "suspicious"
    OVERFIT = "overfit"


ORDER: Final = (Level.OK, Level.SUSPICIOUS, Level.OVERFIT)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule says.

    Attributes:
        rule: Its name, that of the measure.
        level: What it makes of the model.
        number: What was measured.
        threshold: What was crossed; where nothing was, the first that could have been.
        text: Number and threshold in words.
    """

    rule: str
    level: Level
    number: float
    threshold: float
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The worst of all findings.

    Attributes:
        level: ``ok`` where no rule finds anything.
        findings: Of every rule whose measure could be taken, in a fixed order.
    """

    level: Level
    findings: tuple[Finding, ...]

    @property
    def reasons(self) -> tuple[Finding, ...]:
        """The findings that are not ok, the worst first."""
        bad = [finding for finding in self.findings if finding.level is not Level.OK]
        return tuple(sorted(bad, key=lambda finding: -ORDER.index(finding.level)))

    @property
    def text(self) -> str:
        """The verdict in one sentence."""
        if not self.findings:
            return "ok: nothing could be measured"
        because = self.reasons or self.findings
        return f"{self.level}: {'; '.join(finding.text for finding in because)}"

    def to_json(self) -> dict[str, Any]:
        """Return level, text and findings."""
        return {
            "verdict": str(self.level),
            "reason": self.text,
            "findings": [
                {**asdict(finding), "level": str(finding.level)} for finding in self.findings
            ],
        }
