"""A bar chart as SVG."""

from html import escape

WIDTH, LEFT, RIGHT, TOP, ROW = 760, 170, 70, 64, 26
OURS, THEIRS = "#c2571a", "#8a93a0"


def bars(title, subtitle, named):
    """Horizontal bars of (name, value, whether ours), shortest first."""
    named = sorted(named, key=lambda bar: bar[1])
    scale = (WIDTH - LEFT - RIGHT) / max(value for _, value, _ in named)
    height = TOP + ROW * len(named) + 12
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="13" fill="#222">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="16" y="26" font-size="16" font-weight="bold">{escape(title)}</text>',
        f'<text x="16" y="46" fill="#666">{escape(subtitle)}</text>',
    ]
    for at, (name, value, ours) in enumerate(named):
        y, width, weight = TOP + ROW * at, value * scale, "bold" if ours else "normal"
        parts += [
            f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end" font-weight="{weight}">'
            f"{escape(name)}</text>",
            f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{ROW - 7}" '
            f'fill="{OURS if ours else THEIRS}"/>',
            f'<text x="{LEFT + width + 6:.1f}" y="{y + 14}" font-weight="{weight}">'
            f"{value:,.0f}</text>",
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"
