"""Charts of the pages of evidence, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

_BAR_PX: Final = 22
_GAP_PX: Final = 12
_LABEL_PX: Final = 190
_WIDTH_PX: Final = 760
_COLOURS: Final = {
    "all": "#8a63d2",
    "download": "#2a78d6",
    "tar": "#1baf7a",
    "upload": "#eda100",
    "delete": "#e34948",
    "s3-log-roller": "#8a63d2",
    "s5cmd + tar": "#2a78d6",
}


def chart(
    title: str,
    bars: Sequence[tuple[str, Sequence[tuple[str, float]], int]],
    unit: str,
    *,
    digits: int = 0,
    label_px: int = _LABEL_PX,
) -> str:
    """Horizontal bars, each of one or more parts; readable on light and on dark pages."""
    longest = max(sum(length for _, length in parts) for _, parts, _ in bars)
    scale = (_WIDTH_PX - label_px - 110) / longest
    steps = [step for step in _COLOURS if any(step == name for _, parts, _ in bars for name, _ in parts)]
    if steps == ["all"]:
        steps = []
    top = 40
    height = top + len(bars) * (_BAR_PX + _GAP_PX) + (26 if steps else 4)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH_PX} {height}" width="{_WIDTH_PX}" '
        f'height="{height}" role="img" aria-label="{escape(title)}">',
        "<style>text{font:13px system-ui,sans-serif;fill:#0b0b0b}.t{font-weight:600;font-size:15px}"
        "@media(prefers-color-scheme:dark){text{fill:#f2f2f0}}</style>",
        f'<text class="t" x="0" y="18">{escape(title)}</text>',
    ]
    y = top
    for label, parts, logs in bars:
        middle = y + _BAR_PX * 0.7
        lines.append(f'<text x="{label_px - 8}" y="{middle:.1f}" text-anchor="end">{escape(label)}</text>')
        x = float(label_px)
        for step, length in parts:
            width = max(1.0, length * scale)
            lines.append(
                f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR_PX}" rx="2" fill="{_COLOURS[step]}">'
                f"<title>{escape(step)}: {length:,.{digits}f} {unit}, {logs:,} logs</title></rect>"
            )
            x += width + 2
        total = sum(length for _, length in parts)
        lines.append(f'<text x="{x + 4:.1f}" y="{middle:.1f}">{total:,.{digits}f} {unit}</text>')
        y += _BAR_PX + _GAP_PX
    x = float(label_px)
    for step in steps:
        lines.append(f'<rect x="{x:.0f}" y="{y}" width="12" height="12" rx="2" fill="{_COLOURS[step]}"/>')
        title_of_step = "the whole job in one" if step == "all" else step
        lines.append(f'<text x="{x + 17:.0f}" y="{y + 11}">{title_of_step}</text>')
        x += 34 + 7 * len(title_of_step)
    return "\n".join([*lines, "</svg>\n"])
