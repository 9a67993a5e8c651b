"""Numbers that a user may set, and the ranges that they must lie in."""

from dataclasses import dataclass

from pranet.errors import DataError


@dataclass(frozen=True)
class Range:
    """What a setting may be: a number from `low` to `high`, both included."""

    low: float
    high: float
    whole: bool = False

    def check(self, name: str, value: object) -> None:
        """Refuse anything else.

        Raises:
            DataError: in one line that names the setting and what is allowed.
        """
        kinds = int if self.whole else int | float
        if (
            not isinstance(value, kinds)
            or isinstance(value, bool)
            or not self.low <= value <= self.high
        ):
            kind = "a whole number" if self.whole else "a number"
            raise DataError(f"{name} must be {kind} from {self.low} to {self.high}, not {value!r}")
