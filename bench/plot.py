"""A bar chart as a file of its own, for pages that show SVG: names to the left, values behind the bars."""

import math
from collections.abc import Mapping
from xml.sax.saxutils import escape

_BARS, _ROW, _VALUES, _LETTER = 320, 26, 90, 6.8  # pixels
_OURS, _THEIRS = "#b3382c", "#8a8f98"


def told(value: float) -> str:
    """Four digits, and no powers of ten."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def bars(values: Mapping[str, float], unit: str, logarithmic: bool) -> str:
    """One bar a value, from 0 (or, `logarithmic`, from below the least). Ours, the names that begin so, in colour."""
    height = _ROW * len(values) + 30
    names = round(_LETTER * max(map(len, values))) + 12
    width = names + _BARS + _VALUES
    least, most = min(values.values()), max(values.values())
    low = math.log10(least) - 0.3 if logarithmic else 0.0
    scale = _BARS / ((math.log10(most) - low if logarithmic else most) or 1)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="13" fill="#30343a"><rect width="{width}" height="{height}" fill="#ffffff"/>'
    ]
    for row, (name, value) in enumerate(values.items()):
        top = row * _ROW + 4
        length = max(1.0, ((math.log10(value) - low) if logarithmic else value) * scale)
        colour = _OURS if name.startswith("ours") else _THEIRS
        lines.append(f'<text x="{names - 8}" y="{top + 15}" text-anchor="end">{escape(name)}</text>')
        lines.append(f'<rect x="{names}" y="{top}" width="{length:.1f}" height="{_ROW - 7}" rx="2" fill="{colour}"/>')
        lines.append(f'<text x="{names + length + 6:.1f}" y="{top + 15}">{told(value)}</text>')
    note = f"{unit}{', logarithmic' if logarithmic else ''}"
    lines.append(f'<text x="{names}" y="{height - 8}" font-size="11" fill="#8a8f98">{escape(note)}</text></svg>')
    return "\n".join(lines) + "\n"
