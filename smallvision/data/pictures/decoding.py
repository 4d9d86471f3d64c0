"""Picture files -> RGB. One conversion for train, evaluate and predict."""

import io
from contextlib import suppress

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError, WebPImagePlugin  # noqa: F401 (importing it registers the format)

from smallvision.core.errors import InputError, printable

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP")  # the first also reads MPO, JPEGs of some cameras
MAX_PIXELS = 80_000_000  # 240 MB as RGB; Pillow itself only warns below 179 megapixels
# From so many times the side wanted on, a JPEG is decoded at an eighth, a quarter, a half.
REDUCED = ((8, cv2.IMREAD_REDUCED_COLOR_8), (4, cv2.IMREAD_REDUCED_COLOR_4), (2, cv2.IMREAD_REDUCED_COLOR_2))


class PictureError(InputError):
    """The reason why a picture cannot be used."""


def decode(data: bytes, min_side: int = 1) -> Image.Image:
    """Decode a picture completely.

    Args:
        data: the bytes of a JPEG, PNG, GIF (its first frame), WebP or BMP file.
        min_side: pixels; a picture with a shorter side is refused.

    Returns:
        The picture in mode RGB, turned upright by its EXIF orientation. Transparent parts are
        white; 16-bit grey is scaled to 8 bits, where Pillow's `convert` would clip it to white.
        Its `format` is the file's, with `, animated` where there are more frames than the first.

    Raises:
        PictureError: with the reason.
    """
    Image.MAX_IMAGE_PIXELS = None  # the limit below is stricter, and raises instead of warning
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise PictureError(f"{width}x{height} pixels, more than {MAX_PIXELS // 10**6} megapixels")
            if min(width, height) < min_side:
                raise PictureError(f"{width}x{height} pixels, a side under {min_side}")
            kind = f"{image.format}{', animated' if _is_animated(image) else ''}"
            image.load()
            _turn_upright(image)
            picture = _to_rgb(image)
            picture.format = kind
            return picture
    except (PictureError, MemoryError):
        raise
    except UnidentifiedImageError:
        raise PictureError(_unknown_format(data)) from None
    # Pillow's plugins raise whatever damaged bytes lead them to (OSError, SyntaxError, struct.error,
    # IndexError, zlib.error, ...), and no list of these is promised.
    except Exception as error:
        raise PictureError(f"damaged: {printable(str(error)) or type(error).__name__}") from error


def _turn_upright(image: Image.Image) -> None:
    with suppress(Exception):  # broken EXIF says nothing about the pixels
        ImageOps.exif_transpose(image, in_place=True)


def _is_turned(image: Image.Image) -> bool:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9)
    except Exception:  # as in `_turn_upright`
        return False


def _is_animated(image: Image.Image) -> bool:
    # The further frames of an MPO are other views, a thumbnail for example.
    return image.format != "MPO" and getattr(image, "is_animated", False)


def _to_rgb(image: Image.Image) -> Image.Image:
    # With as few copies as can be: of 80 megapixels each takes 320 MB, and several threads decode.
    if image.mode in ("I", "I;16", "I;16B", "I;16L", "F"):
        grey = np.array(image, dtype=np.float32)
        grey /= 257
        return Image.fromarray(np.clip(grey, 0, 255, out=grey).round(out=grey).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image if image.mode == "RGBA" else image.convert("RGBA")
        picture = Image.new("RGB", rgba.size, "white")
        picture.paste(rgba, mask=rgba)
        return picture
    return image if image.mode == "RGB" else image.convert("RGB")


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

    Args:
        data: a picture that `decode` accepts. A damaged JPEG is not noticed here.
        image_size: side of the square, pixels.

    Returns:
        uint8 array `(image_size, image_size, 3)`, RGB in [0, 255].
    """
    pixels = _decode_jpeg(data, image_size)
    return _to_square(np.asarray(decode(data)) if pixels is None else pixels, image_size)


def to_checked_input(data: bytes, image_size: int) -> np.ndarray:
    """As `to_input`, for bytes that may be anything, and damage is noticed.

    Raises:
        PictureError: with the reason.
    """
    pixels = _decode_jpeg(data, image_size) if _is_sound_jpeg(data) else None
    return _to_square(np.asarray(decode(data)) if pixels is None else pixels, image_size)


def _is_sound_jpeg(data: bytes) -> bool:
    """Whether a JPEG decodes without an error, which OpenCV does not tell.

    At an eighth of its size: for 12 megapixels that takes a tenth of the time.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "MPO")) as image:
            if image.width * image.height > MAX_PIXELS:
                return False
            image.draft(None, (1, 1))
            image.load()
            return True
    except MemoryError:
        raise
    except Exception:  # whatever Pillow raises; `decode` says what is wrong
        return False


def _to_square(pixels: np.ndarray, image_size: int) -> np.ndarray:
    # Each side that gets smaller by averaging, then each that gets larger: OpenCV averages only if both do.
    height, width = pixels.shape[:2]
    small = cv2.resize(pixels, (min(width, image_size), min(height, image_size)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (image_size, image_size), interpolation=cv2.INTER_LINEAR)


def _decode_jpeg(data: bytes, image_size: int) -> np.ndarray | None:
    """Decode a plain, upright JPEG, a large one at a reduced scale not below `image_size`; None for others.

    OpenCV is two to four times as fast as Pillow here (docs/results.md), which it owes to the scale
    and to threads that do not wait for each other. Left to Pillow: colours with four components, and
    pictures to be turned, whose orientation OpenCV reads from fewer places.
    """
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        if image.format not in ("JPEG", "MPO") or image.mode not in ("RGB", "L") or _is_turned(image):
            return None
        times = min(image.size) // image_size
    scale = next((flag for least, flag in REDUCED if times >= least), cv2.IMREAD_COLOR_BGR)
    scale |= cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), scale)
    return None if pixels is None else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
