"""Turn picture files into RGB pixels, in the same way for training, evaluation and prediction."""

import io
from contextlib import suppress

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError, WebPImagePlugin  # noqa: F401 (importing it registers the format)

from smallvision.core.errors import InputError, printable

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP")  # Pillow's JPEG also reads MPO, the JPEGs of some cameras
MAX_PIXELS = 80_000_000  # 240 MB as RGB; Pillow itself only warns of pictures below 179 megapixels
# A JPEG at least 8, 4 or 2 times as large as needed is decoded at an eighth, a quarter or half of its size.
REDUCED = ((8, cv2.IMREAD_REDUCED_COLOR_8), (4, cv2.IMREAD_REDUCED_COLOR_4), (2, cv2.IMREAD_REDUCED_COLOR_2))


class PictureError(InputError):
    """The reason why a picture cannot be used."""


def decode(data: bytes, min_side: int = 1) -> Image.Image:
    """Decode a picture completely.

    Args:
        data: the bytes of a JPEG, PNG, GIF (its first frame), WebP or BMP file.
        min_side: pixels; a picture with a shorter side is refused.

    Returns:
        The picture in mode RGB, turned upright by its EXIF orientation. Transparent parts are white. 16-bit grey is
        scaled to 8 bits, where Pillow's `convert` would clip it to white. The attribute `format` is the format of the
        file, followed by `, animated` if there are more frames than the first.

    Raises:
        PictureError: the picture cannot be used, with the reason.
    """
    Image.MAX_IMAGE_PIXELS = None  # The limit below is stricter, and it raises where Pillow would warn.
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
    # Damaged bytes make Pillow's plugins raise OSError, SyntaxError, struct.error, IndexError, zlib.error and more;
    # Pillow promises no list.
    except Exception as error:
        raise PictureError(f"damaged: {printable(str(error)) or type(error).__name__}") from error


def _turn_upright(image: Image.Image) -> None:
    with suppress(Exception):  # The pixels may be fine though EXIF is broken.
        ImageOps.exif_transpose(image, in_place=True)


def _is_turned(image: Image.Image) -> bool:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9)
    except Exception:  # The pixels may be fine though EXIF is broken.
        return False


def _is_animated(image: Image.Image) -> bool:
    # The further frames of an MPO are other views of the scene, or a thumbnail.
    return image.format != "MPO" and getattr(image, "is_animated", False)


def _to_rgb(image: Image.Image) -> Image.Image:
    # Few copies are made, because a copy of 80 megapixels takes 320 MB, and several threads decode at once.
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
    """Decode a picture and stretch it to a square, as the book does.

    Args:
        data: a picture that `decode` accepts. This function does not notice that a JPEG is damaged.
        image_size: the side of the square in pixels.

    Returns:
        uint8 array `(image_size, image_size, 3)`, RGB in [0, 255].
    """
    pixels = _decode_jpeg(data, image_size)
    return _to_square(np.asarray(decode(data)) if pixels is None else pixels, image_size)


def to_checked_input(data: bytes, image_size: int) -> np.ndarray:
    """Do the same as `to_input`, for bytes that may be anything, and refuse a damaged JPEG.

    Raises:
        PictureError: the picture cannot be used, with the reason.
    """
    pixels = _decode_jpeg(data, image_size) if _is_sound_jpeg(data) else None
    return _to_square(np.asarray(decode(data)) if pixels is None else pixels, image_size)


def _is_sound_jpeg(data: bytes) -> bool:
    """Tell whether a JPEG decodes without an error, which OpenCV does not say.

    It is decoded at an eighth of its size, which for 12 megapixels takes a tenth of the time.
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
    except Exception:  # Pillow may raise anything; `decode` says later what is wrong.
        return False


def _to_square(pixels: np.ndarray, image_size: int) -> np.ndarray:
    # First shrink the sides that are too long, by averaging, then enlarge those that are too short. In one step OpenCV
    # would average only if both sides shrank.
    height, width = pixels.shape[:2]
    small = cv2.resize(pixels, (min(width, image_size), min(height, image_size)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (image_size, image_size), interpolation=cv2.INTER_LINEAR)


def _decode_jpeg(data: bytes, image_size: int) -> np.ndarray | None:
    """Decode a plain, upright JPEG with OpenCV, a large one at a reduced scale that is not below `image_size`.

    OpenCV is up to four times as fast as Pillow here (docs/results.md), because of the reduced scale and because its
    threads do not wait for each other. For any other picture the function returns None, and Pillow decodes it. That
    includes JPEGs with four colour components, and those that must be turned, because OpenCV looks for the orientation
    in fewer places.
    """
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        if image.format not in ("JPEG", "MPO") or image.mode not in ("RGB", "L") or _is_turned(image):
            return None
        times = min(image.size) // image_size
    scale = next((flag for least, flag in REDUCED if times >= least), cv2.IMREAD_COLOR_BGR)
    scale |= cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), scale)
    return None if pixels is None else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
