"""The watch's picture as SVG text: drift per column and realised quality per week. Serving has no plotting library."""

from collections.abc import Mapping
from html import escape
from typing import Any

ROW, LEFT, WIDTH, TOP = 22, 190, 380, 70
SHOWN = 15
HALO = 'stroke="white" stroke-width="4" paint-order="stroke"'
MARKS = {"precision": "#1b6ca8", "recall": "#d98c21", "calibration_error": "#8a8a8a"}


def draw(
    drift: Mapping[str, float], realised: Mapping[str, Mapping[str, Any]], *, limits: Mapping[str, float], title: str
) -> str:
    """`drift`: stability index per column, `limits` those from which each has moved; `realised`: `{week: {precision,
    recall, calibration_error}}`."""
    columns = sorted(drift.items(), key=lambda pair: -pair[1])[:SHOWN]
    height = TOP + ROW * max(len(columns), 12) + 60
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1120 {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="1120" height="{height}" fill="white"/>',
        f'<text x="20" y="28" font-size="15">{escape(title)}</text>',
        *_bars(columns, limits),
        *_weeks(realised),
        "</svg>",
    ]
    return "\n".join(parts)


def _bars(columns: list[tuple[str, float]], limits: Mapping[str, float]) -> list[str]:
    scale = WIDTH / max([0.5, *(max(value, limits[name]) for name, value in columns)])
    parts = [
        f'<text x="20" y="{TOP - 12}" font-weight="bold">Stability index since training, and where a move begins</text>'
    ]
    for i, (name, value) in enumerate(columns):
        y, x = TOP + i * ROW, LEFT + limits[name] * scale
        colour = "#b3412f" if value > limits[name] else "#1b6ca8"
        shown = escape(name if len(name) <= 26 else name[:25] + "…")
        parts.append(f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{shown}</text>')
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{max(value * scale, 1):.1f}" height="16" fill="{colour}"/>')
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y - 3}" y2="{y + 19}" stroke="#444"/>')
        parts.append(f'<text x="{LEFT + max(value * scale, 1) + 5:.1f}" y="{y + 13}" {HALO}>{value:.2f}</text>')
    return parts


def _weeks(realised: Mapping[str, Mapping[str, Any]]) -> list[str]:
    left, top, width, height = 690, TOP, 390, 220
    parts = [f'<text x="{left}" y="{TOP - 12}" font-weight="bold">Realised by week of the event</text>']
    if not realised:
        return [*parts, f'<text x="{left}" y="{TOP + 14}" fill="#666">no outcomes have arrived yet</text>']
    weeks = sorted(realised)[-12:]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = top + height * (1 - share)
        parts.append(f'<line x1="{left}" x2="{left + width}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e4e4e4"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end" fill="#666">{share:g}</text>')
    step = width / max(len(weeks), 1)
    for i, (name, colour) in enumerate(MARKS.items()):
        points = [(left + step * (j + 0.5), top + height * (1 - realised[week][name])) for j, week in enumerate(weeks)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in points]
        y = top + height + 44
        parts.append(f'<circle cx="{left + 130 * i + 4}" cy="{y - 4}" r="3.5" fill="{colour}"/>')
        parts.append(f'<text x="{left + 130 * i + 14}" y="{y}">{name.replace("_", " ")}</text>')
    for j in {0, len(weeks) - 1}:
        x = left + step * (j + 0.5)
        parts.append(f'<text x="{x:.1f}" y="{top + height + 18}" text-anchor="middle" fill="#666">{weeks[j]}</text>')
    return parts
