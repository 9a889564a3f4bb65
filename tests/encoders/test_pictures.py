"""Odd pictures give what their plain twins give; broken ones give one message."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tema_lib.data.dataset import DataError
from tema_lib.encoders.image import check_pictures, encode_images, read_picture

ROOT = Path(__file__).resolve().parents[2]
DOWN, ACROSS = np.mgrid[0:48, 0:64]
COLOURS = np.stack([ACROSS * 4, DOWN * 5, (ACROSS + DOWN) * 2], -1).astype(np.uint8)
PLAIN = Image.fromarray(COLOURS)
GREY = PLAIN.convert("L")
VALUES = np.asarray(GREY)
PALETTE = PLAIN.quantize(64)
HOLED = np.where(
    (np.asarray(PALETTE) == 3)[..., None], 255, np.asarray(PALETTE.convert("RGB"))
).astype(np.uint8)
OTHERS = [PLAIN.rotate(90), PLAIN.rotate(180)]


def png(path, values, kind, extra=b"", bits=16):
    """A PNG written chunk by chunk: Pillow writes none of 16 bits a colour.

    kind: 0 grey, 2 colour, 4 and 6 the same with alpha.
    """

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    rows = b"".join(b"\0" + row.astype(f">u{bits // 8}").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, kind, 0, 0, 0)
    extra = chunk(b"tRNS", extra) if extra else b""
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + extra
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def turned(path, orientation, picture=PLAIN):
    note = Image.Exif()
    note[0x112] = orientation
    back = {
        3: Image.Transpose.ROTATE_180,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        8: Image.Transpose.ROTATE_270,
    }
    picture.transpose(back[orientation]).save(path, exif=note)


def opaque(values, top):
    return np.concatenate([values, np.full((*values.shape[:2], 1), top)], -1)


SIXTEEN = VALUES.astype(np.uint16) * 257
DEEP = COLOURS.astype(np.uint16) * 257
KINDS = {  # name: how to write it, and its plain twin
    "grey16.png": (lambda path: Image.fromarray(SIXTEEN).save(path), GREY),
    "grey16.tif": (lambda path: Image.fromarray(SIXTEEN).save(path), GREY),
    "grey16_big_endian.tif": (
        lambda path: Image.frombytes("I;16B", GREY.size, SIXTEEN.astype(">u2").tobytes()).save(
            path
        ),
        GREY,
    ),
    "grey16.jp2": (lambda path: Image.fromarray(SIXTEEN).save(path), GREY),
    "grey16.pgm": (
        lambda path: path.write_bytes(b"P5 64 48 65535\n" + SIXTEEN.astype(">u2").tobytes()),
        GREY,
    ),
    "grey12.pgm": (
        lambda path: path.write_bytes(
            b"P5 64 48 4095\n" + (VALUES / 255 * 4095).round().astype(">u2").tobytes()
        ),
        GREY,
    ),
    "grey16_holed.png": (
        lambda path: png(path, SIXTEEN, 0, struct.pack(">H", int(SIXTEEN[5, 5]))),
        Image.fromarray(np.where(VALUES[5, 5] == VALUES, 255, VALUES).astype(np.uint8)),
    ),
    "grey16_turned.tif": (lambda path: turned(path, 6, Image.fromarray(SIXTEEN)), GREY),
    "grey_turned.tif": (lambda path: turned(path, 8, GREY), GREY),
    "grey16_and_alpha.png": (lambda path: png(path, opaque(SIXTEEN[..., None], 65535), 4), GREY),
    "colour16.png": (lambda path: png(path, DEEP, 2), PLAIN),
    "colour16_and_alpha.png": (lambda path: png(path, opaque(DEEP, 65535), 6), PLAIN),
    "colour16.ppm": (
        lambda path: path.write_bytes(b"P6 64 48 65535\n" + DEEP.astype(">u2").tobytes()),
        PLAIN,
    ),
    "grey32_small_numbers.tif": (
        lambda path: Image.fromarray(VALUES.astype(np.int32)).save(path),
        GREY,
    ),
    "grey32_middling_numbers.tif": (
        lambda path: Image.fromarray(SIXTEEN.astype(np.int32)).save(path),
        GREY,
    ),
    "grey32.tif": (
        lambda path: Image.fromarray((VALUES / 255 * (2**31 - 1)).astype(np.int32)).save(path),
        GREY,
    ),
    "fractions.tif": (
        lambda path: Image.fromarray((VALUES / 255).astype(np.float32)).save(path),
        GREY,
    ),
    "fractions_to_255.tif": (
        lambda path: Image.fromarray(VALUES.astype(np.float32)).save(path),
        GREY,
    ),
    "fractions_with_holes.tif": (
        lambda path: Image.fromarray(
            np.where(VALUES[5, 5] == VALUES, np.nan, VALUES / 255).astype(np.float32)
        ).save(path),
        Image.fromarray(np.where(VALUES[5, 5] == VALUES, 0, VALUES).astype(np.uint8)),
    ),
    "printed.tif": (lambda path: PLAIN.convert("CMYK").save(path), PLAIN),
    "printed.jpg": (
        lambda path: PLAIN.convert("CMYK").save(path, quality=100, subsampling=0),
        PLAIN,
    ),
    "grey_and_alpha.png": (lambda path: GREY.convert("LA").save(path), GREY),
    "colour_and_alpha.webp": (lambda path: PLAIN.convert("RGBA").save(path, lossless=True), PLAIN),
    "black_and_white.png": (lambda path: GREY.convert("1").save(path), GREY.convert("1")),
    "fax.tif": (lambda path: GREY.convert("1").save(path, compression="group4"), GREY.convert("1")),
    "palette.png": (lambda path: PALETTE.save(path), PALETTE),
    "palette_and_alpha.tif": (lambda path: PALETTE.convert("PA").save(path), PALETTE),
    "palette_holed.png": (lambda path: PALETTE.save(path, transparency=3), Image.fromarray(HOLED)),
    "palette_holed.gif": (lambda path: PALETTE.save(path, transparency=3), Image.fromarray(HOLED)),
    "moving.gif": (
        lambda path: PALETTE.save(
            path, save_all=True, append_images=[one.quantize(64) for one in OTHERS]
        ),
        PALETTE,
    ),
    "moving.webp": (
        lambda path: PLAIN.save(path, save_all=True, append_images=OTHERS, lossless=True),
        PLAIN,
    ),
    "moving.png": (lambda path: PLAIN.save(path, save_all=True, append_images=OTHERS), PLAIN),
    "pages.tif": (lambda path: PLAIN.save(path, save_all=True, append_images=OTHERS), PLAIN),
    "two_views.jpg": (
        lambda path: PLAIN.save(
            path, "MPO", save_all=True, append_images=OTHERS, quality=100, subsampling=0
        ),
        PLAIN,
    ),
    "turned_3.png": (lambda path: turned(path, 3), PLAIN),
    "turned_5.png": (lambda path: turned(path, 5), PLAIN),
    "turned_6.webp": (lambda path: turned(path, 6), PLAIN),
    "turned_8.tif": (lambda path: turned(path, 8), PLAIN),
    "broken_note.jpg": (
        lambda path: PLAIN.save(
            path, exif=b"Exif\0\0II*\0\xff\xff\xff\xff", quality=100, subsampling=0
        ),
        PLAIN,
    ),
    "webp_called.jpg": (lambda path: PLAIN.save(path, "WEBP", lossless=True), PLAIN),
    "no_ending": (lambda path: PLAIN.save(path, "BMP"), PLAIN),
}
LOSSY = {
    "printed.jpg",
    "two_views.jpg",
    "turned_6.webp",
    "broken_note.jpg",
}  # of JPEG and WebP: some levels of 255 either way


@pytest.mark.parametrize("name", KINDS)
def test_an_odd_picture_reads_as_its_plain_twin(tmp_path, name, recwarn):
    write, twin = KINDS[name]
    write(tmp_path / name)
    recwarn.clear()
    read, plain = read_picture(tmp_path / name), twin.convert("RGB")
    assert read.mode == "RGB"
    assert read.size == plain.size
    apart = np.abs(np.asarray(read).astype(int) - np.asarray(plain)).astype(float)
    if name in LOSSY:
        assert apart.mean() < 3
    else:
        assert apart.max() <= 1  # where 12, 16 or 32 bits are rounded to 8
    assert not recwarn.list


def test_odd_pictures_get_the_vectors_of_their_plain_twins(tmp_path):
    """Two roundings of a grey picture may differ by one level in 255.

    Half a percent of the length is far from any neighbour.
    """
    odd = (
        "grey16.png",
        "grey16.pgm",
        "fractions.tif",
        "printed.tif",
        "moving.webp",
        "turned_8.tif",
    )
    for name in odd:
        KINDS[name][0](tmp_path / name)
        KINDS[name][1].convert("RGB").save(tmp_path / f"{name}.plain.png")
    pairs = encode_images(
        [tmp_path / f"{name}{end}" for name in odd for end in ("", ".plain.png")], progress=False
    ).matrix
    torch.testing.assert_close(pairs[::2], pairs[1::2], atol=5e-3, rtol=0)
    assert (
        (pairs[0] - pairs[3]).norm() < 0.05 < (pairs[0] - pairs[9]).norm()
    )  # the twins of one picture, and another


def flipped(path):
    """One byte amid the pixels: the decoder gives another picture, only the checksum tells."""
    PLAIN.save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


def cut(kind, **options):
    def write(path):
        PLAIN.resize((400, 300)).save(path, kind, **options)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return write


def claiming(width, height):
    """A file of some bytes whose header claims a huge picture."""

    def write(path):
        path.write_bytes(
            b"BM"
            + struct.pack("<IHHI", 70, 0, 0, 54)
            + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 16, 0, 0, 0, 0)
            + b"\0" * 16
        )

    return write


BROKEN = {
    "nothing.png": (lambda path: path.write_bytes(b""), "no picture of a known kind"),
    "a_folder.jpg": (lambda path: path.mkdir(), "it is a folder"),
    "a_text.jpg": (lambda path: path.write_text("sold out"), "no picture of a known kind"),
    "drawn.svg": (
        lambda path: path.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>"),
        "no picture of a known kind",
    ),
    "twin.jpg": (
        lambda path: path.write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X" + b"\0" * 50),
        "no picture of a known kind",
    ),
    "cut.jpg": (cut("JPEG"), "it is cut off"),
    "cut.png": (cut("PNG"), "it is cut off"),
    "cut.gif": (cut("GIF"), "it is cut off"),
    "cut.webp": (cut("WEBP"), "it is damaged"),
    "cut.tif": (cut("TIFF"), "it is cut off"),
    "flipped.png": (flipped, "it is damaged"),
    "claims_much.bmp": (claiming(9000, 9000), "9000 x 9000 pixels, more than 50,000,000"),
    "claims_more.bmp": (claiming(60_000, 60_000), "more than 50,000,000 pixels"),
    "nowhere.png": (lambda path: None, "is missing"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_picture_is_named_in_plain_words(tmp_path, name, recwarn):
    write, words = BROKEN[name]
    write(tmp_path / name)
    recwarn.clear()
    with pytest.raises(DataError) as error:
        read_picture(tmp_path / name)
    said = str(error.value)
    assert f"{tmp_path / name} " in said
    assert words in said
    assert said.endswith("leave the item's image column empty.")
    assert "\n" not in said
    assert "Errno" not in said
    assert "b'" not in said
    assert not recwarn.list


@pytest.mark.skipif(os.name == "nt", reason="no named pipes there")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(DataError, match="it is no file"):
        read_picture(tmp_path / "pipe.png")


def test_all_bad_pictures_stand_in_one_message_before_anything_is_encoded(tmp_path):
    PLAIN.save(tmp_path / "good.png")
    for name, (write, _) in BROKEN.items():
        write(tmp_path / name)
    paths = [
        None,
        tmp_path / "good.png",
        *(tmp_path / name for name in BROKEN),
        tmp_path / "good.png",
        tmp_path / "cut.jpg",
    ]
    for call in (
        lambda: check_pictures(paths),
        lambda: encode_images(paths, "nowhere/no-model", progress=False),
    ):
        with pytest.raises(DataError) as error:
            call()
        said = str(error.value)
        assert said.startswith("14 of 15 pictures cannot be used")
        assert "and 4 more" in said
        assert "good.png" not in said
        assert sum(str(tmp_path / name) in said for name in BROKEN) == 10
        assert "\n" not in said
    check_pictures(paths[:2])
    with pytest.raises(
        DataError,
        match=r"1 of 2 pictures .*cut.jpg cannot be used \(it is cut off\): replace it, or",
    ):
        check_pictures([tmp_path / "good.png", tmp_path / "cut.jpg"])


def test_the_synthetic_pictures_pass():
    check_pictures(sorted((ROOT / "data" / "synthetic" / "pictures").glob("*.png")))
