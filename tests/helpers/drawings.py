"""Drawn pictures: shapes on white, and a mug."""

from PIL import Image, ImageDraw


def draw(shape, colour, side, left, top):
    """A shape on white, 224 x 224."""
    picture = Image.new("RGB", (224, 224), "white")
    pen = ImageDraw.Draw(picture)
    box = (left, top, left + side, top + side)
    if shape == "ring":
        pen.ellipse(box, outline=colour, width=side // 6)
    elif shape == "disc":
        pen.ellipse(box, fill=colour)
    elif shape == "square":
        pen.rectangle(box, fill=colour)
    elif shape == "triangle":
        pen.polygon(
            ((left, top + side), (left + side, top + side), (left + side / 2, top)), fill=colour
        )
    elif shape == "stripes":
        for line in range(0, side, 12):
            pen.rectangle((left, top + line, left + side, top + line + 5), fill=colour)
    return picture


def draw_mug():
    picture = Image.new("RGB", (224, 224), "white")
    pen = ImageDraw.Draw(picture)
    pen.ellipse((130, 85, 190, 150), outline=(180, 40, 40), width=14)
    pen.rectangle((50, 65, 150, 180), fill=(180, 40, 40))
    pen.ellipse((50, 165, 150, 195), fill=(180, 40, 40))
    pen.ellipse((50, 50, 150, 80), fill=(120, 20, 20))
    return picture
