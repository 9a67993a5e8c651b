"""Short texts on the page."""

from html import escape


def problem(text: str) -> str:
    """What is wrong, as HTML that is read out at once."""
    return f'<p class="problem" role="alert">{escape(text)}</p>'


def spell_share(share: float) -> str:
    """A share of the picture, 0…1, in percent."""
    return "under 0.1%" if 0 < share < 0.001 else f"{share:.1%}"


def status(text: str) -> str:
    """How things stand, as HTML."""
    return f'<p role="status">{escape(text)}</p>'
