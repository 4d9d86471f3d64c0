"""Picture files -> RGB, with Pillow. One conversion for split, train, evaluate and predict."""

import io

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError, WebPImagePlugin  # noqa: F401 (importing it registers the format)

from smallvision.errors import InputError, printable

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP")  # the first also reads MPO, JPEGs of some cameras
MAX_PIXELS = 80_000_000  # 240 MB as RGB; Pillow itself only warns below 179 megapixels
MIN_SIDE = 8


class PictureError(InputError):
    """The reason why a picture cannot be used."""


def decode(data: bytes, near: int | None = None) -> Image.Image:
    """Decode a picture completely.

    Args:
        data: the bytes of a JPEG, PNG, GIF (its first frame), WebP or BMP file.
        near: the side the picture will be resized to. A large JPEG is then decoded at a reduced
            scale, never below that side, which is several times faster.

    Returns:
        The picture in mode RGB, turned upright by its EXIF orientation. Transparent parts are
        white; 16-bit grey is scaled to 8 bits, where Pillow's `convert` would clip it to white.

    Raises:
        PictureError: with the reason.
    """
    Image.MAX_IMAGE_PIXELS = None  # the limit below is stricter, and raises instead of warning
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise PictureError(f"{width}x{height} pixels, more than {MAX_PIXELS // 10**6} megapixels")
            if min(width, height) < MIN_SIDE:
                raise PictureError(f"{width}x{height} pixels, a side under {MIN_SIDE}")
            if near:
                image.draft(None, (near, near))
            image.load()
            return _to_rgb(_upright(image))
    except (PictureError, MemoryError):
        raise
    except UnidentifiedImageError:
        raise PictureError(_unknown_format(data)) from None
    # Pillow's plugins raise whatever damaged bytes lead them to (OSError, SyntaxError, struct.error,
    # IndexError, zlib.error, ...), and no list of these is promised.
    except Exception as error:
        raise PictureError(f"damaged: {printable(str(error)) or type(error).__name__}") from error


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # broken EXIF says nothing about the pixels
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "I;16", "I;16B", "I;16L", "F"):
        grey = np.asarray(image, dtype=np.float64)
        return Image.fromarray(np.clip(grey / 257, 0, 255).round().astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _unknown_format(data: bytes) -> str:
    if not data:
        return "an empty file"
    if data[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif"):
        return "format HEIC or AVIF is not supported; convert it to JPEG"
    if data[:4] in (b"II*\0", b"MM\0*"):
        return "format TIFF is not supported; convert it to JPEG or PNG"
    return f"no picture in a supported format ({', '.join(FORMATS)})"


def to_input(data: bytes, image_size: int) -> np.ndarray:
    """Decode a picture and stretch it to the square, as the book does.

    Returns:
        uint8 array `(image_size, image_size, 3)`, RGB in [0, 255].
    """
    image = decode(data, near=image_size)
    return np.asarray(image.resize((image_size, image_size), Image.Resampling.BILINEAR))
