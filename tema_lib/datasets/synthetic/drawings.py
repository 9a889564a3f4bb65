"""The pictures of the synthetic data set: every kind has a shape and two colours.

Every item has its own position, size, light and background.  A shape is a list of strokes, written
as one line: `stroke colour numbers; stroke colour numbers; ...` on a canvas of 100 x 100 (x to the
right, y down).

Strokes: `o` ellipse, `b` box, `r` box with round corners, `p` polygon, `l` line, `a` arc, `h` half
disc (the last two numbers of `a` and `h` are angles, clockwise from 3 o'clock).  Colours: `m` main,
`d` darker main, `i` lighter main, `c` accent, `k` black, `w` white, `g` gray, `n` brown.
Status: ours.
"""

from __future__ import annotations

from random import Random

from PIL import Image, ImageDraw

Colour = tuple[int, int, int]  # red, green, blue: 0 to 255
SHAPE_TABLE = """
basket: a n 25 10 75 80 180 360; p m 12 45 88 45 76 88 24 88; l d 14 58 86 58; l d 18 72 82 72; l d 35 45 38 88; l d 50 45 50 88; l d 65 45 62 88; o c 12 38 88 54
beans: o m 10 50 50 80; l d 15 65 45 65; o d 45 55 85 85; l k 50 70 80 70; o m 30 22 70 54; l d 35 38 65 38; o d 62 30 92 54; l k 66 42 88 42; o i 8 28 34 50; l d 12 39 30 39
blender: p i 32 12 68 12 62 62 38 62; p c 35 30 66 30 62 60 39 60; b k 30 5 70 12; p m 34 62 66 62 74 92 26 92; o k 44 70 56 82; a m 55 20 84 50 270 90
board: r n 8 40 92 80; o n 84 50 100 70; o w 90 56 96 64; p c 18 48 46 42 46 66 18 66; o m 54 46 72 64; o d 66 56 80 70; l d 12 74 80 74
bottle: b k 43 4 57 14; b m 44 14 56 36; p m 44 30 56 30 68 46 32 46; r m 32 44 68 95; r c 34 56 66 80; l w 38 62 62 62; l w 38 70 56 70; l i 37 48 37 54
bowl: h m 8 10 92 90 0 180; o d 8 38 92 62; o c 14 40 86 60; o c 28 32 54 52; o c 46 30 74 52; b d 36 86 64 93
box: p d 70 18 86 10 86 84 70 92; p i 22 18 70 18 86 10 38 10; b m 22 18 70 92; o c 30 46 62 78; l w 30 28 62 28; l w 34 36 58 36
cake: o g 5 76 95 94; b m 18 52 82 84; o m 18 76 82 92; o c 18 42 82 62; b c 30 28 70 48; o c 30 40 70 54; o w 30 22 70 36; l k 40 10 40 28; l k 50 8 50 28; l k 60 10 60 28; o c 37 4 43 12; o c 47 2 53 10; o c 57 4 63 12
can: b m 24 20 76 84; o d 24 74 76 94; o i 24 10 76 30; o g 30 13 70 27; b c 24 42 76 70; o w 38 44 62 68; o m 44 50 56 62
candle: b m 24 40 34 92; b c 45 34 55 92; b m 66 40 76 92; l w 24 52 34 46; l w 24 70 34 64; l w 45 56 55 50; l w 45 76 55 70; l w 66 60 76 54; o c 24 20 34 38; o m 45 14 55 32; o c 66 20 76 38; l k 29 34 29 42; l k 50 28 50 36; l k 71 34 71 42
candy: l n 5 95 80 20; r m 14 62 40 88; r m 36 40 62 66; r m 58 18 84 44; l c 18 68 34 68; l c 40 46 56 46; l c 62 24 78 24; p n 60 70 92 70 92 92 60 92; l k 76 70 76 92; l k 60 81 92 81
cheese: p m 8 60 60 22 92 46 92 52; p i 8 60 92 52 92 84 8 88; o d 22 66 34 78; o d 48 60 64 74; o d 74 66 84 76; o d 36 76 44 84; o d 60 34 70 42; l c 8 88 92 84
chili: p m 22 30 44 26 62 52 90 80 58 74 32 56; o m 18 22 48 48; l c 30 28 22 8; o c 22 20 40 32; l i 34 36 52 60
chopsticks: r c 10 58 90 90; r i 16 62 84 84; l m 8 20 94 44; l m 8 34 94 50; o m 24 64 48 82; o k 30 68 42 78; o m 56 64 80 82
cooler: r m 12 38 88 90; r c 8 24 92 42; a g 24 4 76 44 180 360; b w 44 36 56 48; l d 18 56 82 56; l d 18 76 82 76; o w 38 58 62 78
cup: a c 60 38 94 74 270 90; r m 20 36 72 82; o d 20 28 72 46; o n 25 31 67 43; o g 10 80 82 92; l g 36 24 40 10; l g 52 24 56 10
egg: o w 8 22 74 84; o w 40 36 94 90; o m 28 38 58 66; o i 34 42 44 50; l c 14 92 88 92; o c 68 58 82 74
fish: o m 8 30 76 72; p m 70 50 96 28 96 74; o w 18 42 28 52; o k 21 45 26 50; p c 36 32 58 32 50 20; a d 22 36 40 66 270 90; a d 40 38 54 64 270 90; a d 54 40 66 62 270 90
fork: l m 20 95 46 50; l m 46 50 70 34; l m 40 40 56 14; l m 46 50 62 20; l m 52 54 72 26; l m 40 40 54 56; l c 20 95 32 74; l m 74 95 84 30; l c 74 95 78 70; l m 78 36 82 10; l m 86 36 92 12
fruit: o m 10 42 52 84; o d 46 44 90 88; o m 32 22 68 56; a n 30 4 56 52 270 360; p c 54 14 80 6 72 26; o i 18 50 28 60; o i 54 52 64 62; o i 40 28 48 36
glass: p i 18 14 82 14 54 54 46 54; p c 27 24 73 24 54 52 46 52; l g 50 54 50 86; o g 28 82 72 94; o m 62 6 84 28; l n 36 8 52 44
grill: h m 14 26 86 92 0 180; h d 14 4 86 76 180 360; l c 12 46 88 46; l g 12 54 88 54; l k 30 80 18 97; l k 70 80 82 97; l k 50 90 50 97; r n 42 4 58 12; o c 30 64 38 72; o c 52 68 60 76; o c 64 62 70 70
grinder: l k 50 20 82 10; o n 78 4 92 18; h m 26 12 74 56 180 360; b m 34 32 66 54; r c 26 52 74 90; r i 34 64 66 82; o k 47 70 53 76; b k 22 90 78 95
jar: r c 28 8 72 24; r i 22 22 78 94; r m 26 36 74 90; r w 34 50 66 76; l k 40 58 60 58; l k 40 66 54 66; l w 30 30 30 46
jug: a m 58 30 92 72 270 90; p m 28 24 70 24 78 90 22 90; p m 28 24 14 16 40 24; o d 28 18 70 32; o c 34 20 66 30; l i 34 44 30 80
kettle: a k 22 6 78 72 180 360; o m 16 34 80 92; p m 70 56 96 34 98 42 76 74; o d 34 30 62 44; o k 44 24 54 34; o c 28 52 52 74; l g 20 92 76 92
knife: p m 6 44 66 34 66 58 20 58; l i 14 52 62 46; r c 64 34 96 52; o w 72 40 78 46; o w 84 40 90 46; l n 8 76 92 76; l n 8 84 92 84
leaf: p m 50 6 80 34 76 66 50 90 24 66 20 34; l d 50 12 50 98; l d 50 40 70 28; l d 50 40 30 28; l d 50 60 72 48; l d 50 60 28 48; p c 66 60 96 54 92 82 70 88; p c 34 60 4 54 8 82 30 88; l d 70 84 90 60; l d 30 84 10 60
loaf: o m 6 30 60 76; o m 40 30 94 76; r m 8 46 92 86; l c 26 34 36 54; l c 44 32 54 52; l c 62 34 72 54; l d 12 84 88 84
machine: r m 16 14 84 34; r d 16 30 44 86; r m 12 82 88 94; b k 54 34 72 44; l n 62 44 62 60; r w 52 60 76 80; r c 58 18 78 28; o c 22 18 32 28; a w 70 62 86 78 270 90
mat: p m 10 24 80 24 92 80 22 80; l d 12 32 82 32; l d 14 42 84 42; l d 16 52 86 52; l d 18 62 88 62; l d 20 72 90 72; l c 32 24 42 80; l c 66 24 76 80; o k 70 8 92 30; o w 74 12 88 26; o c 78 16 84 22
mold: r m 8 20 92 84; r c 14 28 32 46; r c 40 28 60 46; r c 68 28 86 46; r c 14 58 32 76; r c 40 58 60 76; r c 68 58 86 76; o i 18 32 28 42; o i 45 32 55 42; o i 72 32 82 42; o i 18 62 28 72; o i 45 62 55 72; o i 72 62 82 72
mortar: l c 52 50 82 6; o c 74 2 90 18; h m 14 20 86 88 0 180; o d 14 42 86 66; o k 22 46 78 62; l c 50 54 66 30; b m 36 84 64 94; o i 30 66 40 72
noodle: l m 10 86 70 10; l m 18 90 76 12; l i 26 92 82 14; l m 34 94 88 18; l i 42 94 92 24; l m 14 88 74 11; l i 22 91 79 13; p c 32 46 48 36 66 56 50 66; l d 34 48 52 62
packet: p m 24 10 76 10 82 92 18 92; l d 22 20 78 20; p d 24 10 76 10 77 16 23 16; o c 32 36 68 72; o w 42 46 58 62; l w 30 82 70 82
pan: o d 4 28 66 88; o m 9 33 61 83; o c 24 46 48 70; r k 62 42 98 54; o w 90 45 95 51
piping: p m 20 10 80 10 54 72 46 72; l d 34 12 47 70; l d 66 12 53 70; p g 44 70 56 70 52 84 48 84; o c 20 80 44 96; o c 40 82 62 98; o c 58 80 82 96; r i 18 6 82 14
pot: r m 16 40 84 90; o d 16 30 84 50; o c 20 32 80 46; r k 4 50 18 60; r k 82 50 96 60; o k 44 20 56 32; l i 24 56 24 80; l g 34 26 30 8; l g 66 26 70 8
press: o d 14 52 86 92; o m 14 44 86 84; o c 24 50 76 78; l g 50 46 84 8; o m 26 18 74 40; l k 26 30 14 62; r n 78 2 94 14
rack: l m 12 92 12 30; l m 88 92 88 30; l m 8 92 92 92; l m 12 34 88 34; l m 12 62 88 62; a c 18 34 38 84 180 360; a c 42 34 62 84 180 360; a c 64 34 84 84 180 360; l c 22 34 22 58; l c 32 34 32 58; l c 46 34 46 58; l c 58 34 58 58; l c 70 34 70 58; l c 78 34 78 58
roll: r m 14 56 86 72; r c 18 38 80 54; r m 22 20 76 36; o d 30 60 36 66; o d 50 60 56 66; o d 68 60 74 66; o d 34 24 40 30; o d 56 24 62 30; l d 26 46 72 46; o w 8 76 92 92; o g 20 79 80 89
roller: r m 14 20 74 48; o d 14 44 74 60; l k 74 34 92 34; l k 92 34 92 14; o c 86 4 98 18; b k 24 60 32 92; b k 58 60 66 92; l i 36 56 36 90; l i 44 56 44 92; l i 52 56 52 90; l k 16 92 74 92; l c 22 30 64 30
sack: p m 24 24 76 24 88 92 12 92; p d 30 8 70 8 60 26 40 26; l c 34 26 66 26; o c 34 46 66 80; l w 50 50 50 78; l w 50 60 40 54; l w 50 60 60 54; l w 50 70 40 64; l w 50 70 60 64
sausage: r m 10 22 90 42; r m 14 46 94 66; r d 8 70 88 90; l c 26 24 34 40; l c 46 24 54 40; l c 66 24 74 40; l c 30 48 38 64; l c 50 48 58 64; l c 70 48 78 64; o i 14 26 22 32
scraper: p i 14 12 86 12 86 58 14 58; l m 14 58 86 58; r c 10 56 90 80; l k 20 68 80 68; l m 26 20 26 48; l m 40 20 40 48; l m 54 20 54 48; l m 68 20 68 48
shaker: p m 30 32 70 32 76 94 24 94; h c 30 10 70 54 180 360; b c 30 30 70 36; o k 40 16 44 20; o k 50 14 54 18; o k 58 18 62 22; r w 34 52 66 78; o m 42 58 58 74
spinner: o i 8 30 92 94; o w 16 36 84 88; a d 22 40 78 84 0 360; l d 30 50 70 76; l d 70 50 30 76; l d 50 42 50 84; o m 10 20 90 48; o c 34 22 66 40; l k 50 30 72 12; o k 68 6 80 18
spoon: l m 22 94 62 36; o m 54 12 84 44; o i 60 18 78 38; l c 22 94 30 82; p m 60 60 92 60 82 76 70 76; p c 70 76 82 76 92 94 60 94
stand: o m 6 26 94 50; o d 6 32 94 56; o m 6 24 94 48; b c 44 50 56 84; o c 24 78 76 96; o i 22 30 78 42
stove: r m 8 60 92 88; o k 14 44 44 64; o k 56 44 86 64; p c 29 18 40 52 18 52; p c 71 18 82 52 60 52; o i 25 38 33 52; o i 67 38 75 52; o w 22 68 34 80; o w 66 68 78 80; l k 44 74 56 74
strainer: o d 6 20 66 74; o w 12 26 60 68; l m 20 30 20 64; l m 30 26 30 68; l m 40 26 40 68; l m 50 28 50 66; l m 12 38 60 38; l m 12 48 60 48; l m 14 58 58 58; l m 62 56 88 80; l c 74 68 94 86
thermometer: l g 56 50 18 94; o m 38 6 94 62; o w 45 13 87 55; l k 66 34 80 22; l c 66 16 66 20; l c 50 34 54 34; l c 78 34 82 34; o k 63 31 69 37
tin: p m 8 40 92 40 82 84 18 84; o d 8 30 92 50; o c 15 33 85 47; l i 18 54 22 78; l d 36 52 38 82; l d 50 52 50 82; l d 64 52 62 82
tongs: l m 14 90 46 20; l m 50 92 52 22; o m 40 8 60 28; l c 14 90 24 68; l c 50 92 50 68; o m 6 84 22 98; o m 42 84 58 98; l g 70 94 84 30; p g 74 10 96 14 90 36 72 32
tortilla: o m 6 22 72 84; o i 10 26 66 78; o m 28 14 94 78; o c 33 19 89 73; o d 44 30 52 37; o d 64 28 74 36; o d 52 48 64 58; o d 72 50 80 57; o d 40 54 47 60
waffle: o m 8 12 92 92; o c 14 18 86 86; l d 32 20 32 84; l d 50 16 50 88; l d 68 20 68 84; l d 18 34 82 34; l d 14 52 86 52; l d 18 70 82 70; r k 84 46 99 58
whisk: l c 14 94 44 60; o d 38 10 86 66; o w 43 15 81 61; o m 48 12 76 62; o w 53 18 71 56; l m 44 60 78 18; l k 14 94 22 84
"""  # noqa: E501 - a table with one line a shape
SHAPES = dict(line.split(": ", 1) for line in SHAPE_TABLE.strip().splitlines())
COLOURS = {
    "amber": (222, 146, 36),
    "black": (52, 50, 54),
    "blue": (70, 120, 196),
    "brown": (118, 74, 44),
    "cream": (240, 224, 190),
    "gray": (150, 156, 164),
    "green": (84, 150, 78),
    "orange": (236, 124, 46),
    "pink": (236, 140, 172),
    "purple": (120, 80, 150),
    "red": (200, 54, 48),
    "salmon": (244, 140, 112),
    "tan": (206, 166, 112),
    "white": (246, 246, 242),
    "yellow": (244, 206, 84),
}
BACKGROUNDS = (
    (228, 236, 244),
    (244, 234, 222),
    (232, 242, 230),
    (244, 230, 236),
    (236, 232, 244),
    (250, 246, 230),
    (224, 224, 226),
    (214, 232, 232),
)


def draw_picture(
    shape: str, colour: str, accent: str, random: Random, size: int = 96
) -> Image.Image:
    """One picture with a small palette.

    Args:
        shape: A key of `SHAPES`.
        colour: The main colour, a key of `COLOURS`.
        accent: The second colour, a key of `COLOURS`.
        random: Gives the picture its position, size, light, and background.
        size: Width and height in pixels.

    Raises:
        ValueError: The shape does not exist.
    """
    if shape not in SHAPES:
        raise ValueError(f"no shape {shape!r}; known shapes: {', '.join(sorted(SHAPES))}")
    double = 2 * size  # drawn at twice the size and averaged: smooth edges, same pixels everywhere
    ground = random.choice(BACKGROUNDS)
    image = Image.new("RGB", (double, double), ground)
    pen = ImageDraw.Draw(image)
    scale = double * (0.68 + 0.24 * random.random()) / 100
    left = (double - 100 * scale) * random.random()
    top = (double - 100 * scale) * random.random()
    table = (0, top + 88 * scale, double, double)
    shadow = (left + 8 * scale, top + 84 * scale, left + 92 * scale, top + 99 * scale)
    pen.rectangle(table, fill=_shade(ground, 0.9))
    pen.ellipse(shadow, fill=_shade(ground, 0.78))
    colours = _colours_of_item(COLOURS[colour], COLOURS[accent], random)
    for stroke in SHAPES[shape].split(";"):
        name, role, *numbers = stroke.split()
        _draw_stroke(pen, name, colours[role], [float(n) for n in numbers], (left, top), scale)
    return image.reduce(2).quantize(
        colors=24, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
    )


def _draw_stroke(
    pen: ImageDraw.ImageDraw,
    name: str,
    colour: Colour,
    numbers: list[float],
    corner: tuple[float, float],
    scale: float,
) -> None:
    """One stroke; x and y alternate in `numbers`, except the two angles that end `a` and `h`."""
    angles = (numbers.pop(-2), numbers.pop(-1)) if name in "ah" else (0.0, 0.0)
    points = [round(corner[k % 2] + n * scale) for k, n in enumerate(numbers)]
    thick = round(4.5 * scale)
    if name == "l":
        pen.line(points, fill=colour, width=thick)
    elif name == "a":
        pen.arc(points, *angles, fill=colour, width=thick)
    elif name == "h":
        pen.pieslice(points, *angles, fill=colour)
    elif name == "p":
        pen.polygon(points, fill=colour)
    elif name == "r":
        pen.rounded_rectangle(points, radius=round(5 * scale), fill=colour)
    else:
        {"o": pen.ellipse, "b": pen.rectangle}[name](points, fill=colour)


def _colours_of_item(main: Colour, accent: Colour, random: Random) -> dict[str, Colour]:
    """The eight colours of the strokes; each item has its own light."""
    light = 0.88 + 0.2 * random.random()
    main, accent = _shade(main, light), _shade(accent, light)
    red, green, blue = (round(channel + (255 - channel) * 0.45) for channel in main)
    return {
        "m": main,
        "d": _shade(main, 0.72),
        "i": (red, green, blue),
        "c": accent,
        "k": (44, 42, 46),
        "w": (250, 250, 248),
        "g": (142, 148, 156),
        "n": (128, 84, 52),
    }


def _shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255, round(channel * factor)) for channel in colour)
    return red, green, blue
