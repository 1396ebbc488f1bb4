"""A digit as ink: sharp at any size, as pixels or as outlines.

Between the generator's pixels the ink's density is bicubic; ink is where it is above `LEVEL`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVEL = 0.35
"""Density at the edge of the ink; below a half, so that thin strokes do not break."""

SMOOTHING_PX = 0.7
"""Standard deviation of what smooths an enlargement, in pixels of the digit: a third of a thin stroke."""

TRACE_ZOOM = 2
"""Points a pixel at which outlines are traced: at one, round strokes show corners; at four, files double."""


def resized(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float32]:
    """Return the density at another size, bicubic, [height, width] float32, 1 for full ink; image is [H, W] uint8.

    Enlarged, it is smoothed a little first: a slanting stroke of pixels would else show each of its steps.
    """
    from PIL import Image

    density = image.astype(np.float32) / 255.0
    if height > image.shape[0]:
        density = _smoothed(density)
    resized_image = Image.fromarray(density).resize((width, height), Image.Resampling.BICUBIC)
    grown: NDArray[np.float32] = np.asarray(resized_image, np.float32)
    return grown


def _smoothed(density: NDArray[np.float32]) -> NDArray[np.float32]:
    weights = np.exp(-0.5 * (np.arange(-2, 3) / SMOOTHING_PX) ** 2)
    weights /= weights.sum()
    smoothed = np.asarray(density, np.float32)
    for axis in (0, 1):
        padded = np.pad(smoothed, [(2, 2) if a == axis else (0, 0) for a in (0, 1)])
        windows = np.lib.stride_tricks.sliding_window_view(padded, 5, axis)
        smoothed = np.asarray(windows @ weights, np.float32)
    return smoothed


def sharpened(image: NDArray[np.uint8], zoom: float) -> NDArray[np.float32]:
    """Return coverage by ink, [round(H zoom), round(W zoom)] float32 in [0, 1]; image is [H, W] uint8.

    The edge is about two pixels wide at any zoom, where a plain enlargement would blur it.
    """
    height, width = (max(1, round(length * zoom)) for length in image.shape)
    density = resized(image, height, width)
    if zoom > 1:
        # A smoothed edge rises by a third in a pixel, so by a half in one of the enlarged picture.
        density = (density - LEVEL) * np.float32(1.5 * zoom) + np.float32(0.5)
    coverage: NDArray[np.float32] = density.clip(0.0, 1.0)
    return coverage


def outlines(image: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    """Return the edges of the ink as closed polygons, each [M, 2] float64: x to the right, y down, in pixels.

    Marching squares; where four corners leave a choice the centre decides. Holes are polygons too: fill by even-odd.

    Args:
        image: [H, W] uint8.
    """
    height, width = image.shape
    density = np.pad(resized(image, height * TRACE_ZOOM, width * TRACE_ZOOM), 1) - LEVEL
    links: dict[tuple[int, int, int], list[tuple[int, int, int]]] = {}
    inside = density > 0
    code = inside[:-1, :-1] + 2 * inside[:-1, 1:] + 4 * inside[1:, 1:] + 8 * inside[1:, :-1]
    for row, column in np.argwhere((code > 0) & (code < 15)).tolist():
        # An edge of the grid is (row, column, 0) to the right of a corner, (row, column, 1) below it.
        top, left = (row, column, 0), (row, column, 1)
        bottom, right = (row + 1, column, 0), (row, column + 1, 1)
        crossed = [
            edge
            for edge, a, b in ((top, 1, 2), (right, 2, 4), (bottom, 4, 8), (left, 8, 1))
            if bool(code[row, column] & a) != bool(code[row, column] & b)
        ]
        if len(crossed) == 4:
            full = density[row : row + 2, column : column + 2].mean() > 0
            corner_a = code[row, column] == 5
            pairs = [(top, right), (bottom, left)] if full == corner_a else [(top, left), (bottom, right)]
        else:
            pairs = [(crossed[0], crossed[1])]
        for one, other in pairs:
            links.setdefault(one, []).append(other)
            links.setdefault(other, []).append(one)
    return [_points(loop, density) for loop in _loops(links)]


def _loops(links: dict[tuple[int, int, int], list[tuple[int, int, int]]]) -> list[list[tuple[int, int, int]]]:
    """Return the closed chains of a graph whose every node has two neighbours."""
    loops, seen = [], set()
    for start in links:
        if start in seen:
            continue
        loop, previous, here = [start], start, links[start][0]
        while here != start:
            loop.append(here)
            one, other = links[here]
            previous, here = here, other if one == previous else one
        seen.update(loop)
        loops.append(loop)
    return loops


def _points(loop: list[tuple[int, int, int]], density: NDArray[np.float32]) -> NDArray[np.float64]:
    points = []
    for row, column, down in loop:
        a = float(density[row, column])
        b = float(density[row + down, column + 1 - down])
        share = a / (a - b)
        # Of the padded grid's points the first lies half a step outside the picture.
        x = (column + (1 - down) * share - 0.5) / TRACE_ZOOM
        y = (row + down * share - 0.5) / TRACE_ZOOM
        points.append((x, y))
    return np.asarray(points)


def stroke_width(image: NDArray[np.uint8]) -> float:
    """Return the mean width of the strokes in pixels, 0 without ink: twice the area by the length of the edge.

    Args:
        image: [H, W] uint8.
    """
    area = edge = 0.0
    for polygon in outlines(image):
        following = np.roll(polygon, -1, axis=0)
        edge += float(np.hypot(*(following - polygon).T).sum())
    area = float((resized(image, *(TRACE_ZOOM * n for n in image.shape)) > LEVEL).sum()) / TRACE_ZOOM**2
    return 2 * area / edge if edge else 0.0


def stroke(
    segments: list[tuple[float, float, float, float]], stroke_px: float, shape: tuple[int, int]
) -> NDArray[np.uint8]:
    """Return a picture of straight strokes with round ends, [H, W] uint8.

    Args:
        segments: (x0, y0, x1, y1) each, in pixels; a point is a segment of no length.
        stroke_px: width of the strokes in pixels.
        shape: (H, W).
    """
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    distance = np.full(shape, math.inf)
    for x0, y0, x1, y1 in segments:
        length = (x1 - x0) ** 2 + (y1 - y0) ** 2
        along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length if length else np.zeros(shape)
        along = np.clip(along, 0, 1)
        distance = np.minimum(distance, np.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0)))
    # The edge of a digit rises over two pixels; LEVEL must lie at half the width.
    density = np.clip((stroke_px / 2 - distance) / 2 + LEVEL, 0, 1)
    return np.round(density * 255).astype(np.uint8)
