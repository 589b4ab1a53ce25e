"""The files in a request, read within limits."""
from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

from mmseg.serving.limits import Limits, Refused
from mmseg.serving.service import Upload

# A client that is answered in the midst of sending may never read the answer: so much more is read, and forgotten.
PATIENCE = 4
RAW_TYPES = ('image/', 'application/octet-stream')


async def read_uploads(request, limits: Limits) -> list[Upload]:
    """Return the images of a request: its body is one, or a form with some.

    Args:
        request: of Starlette.

    Raises:
        Refused: it has another type, is too large, or has none or too many.
    """
    media_type = request.headers.get('content-type', '').partition(';')[0].strip().lower()
    if media_type == 'multipart/form-data':
        uploads = await _read_form(_limited(request, limits), limits)
    elif media_type.startswith(RAW_TYPES):
        content = b''.join([chunk async for chunk in _limited(request, limits).stream()])
        uploads = [Upload('image', content)]
    else:
        raise Refused(415, f'found the Content-Type {media_type or "of nothing"!r}, expected image/jpeg, image/png, '
                           'image/webp, application/octet-stream, or multipart/form-data with files')
    if not uploads:
        raise Refused(400, 'found a form without a file, expected at least one image: curl -F image=@street.jpg')
    return uploads


def _limited(request, limits: Limits):
    """The same request, which refuses to be longer than the limits say."""
    found = 0

    async def receive() -> dict:
        nonlocal found
        message = await request.receive()
        found += len(message.get('body', b''))
        while found > limits.bytes and message.get('more_body') and found < PATIENCE * limits.bytes:
            message = await request.receive()
            found += len(message.get('body', b''))
        if found > limits.bytes:
            raise Refused(413, f'found a request of {found / 1e6:.1f} MB or more, expected at most '
                               f'{limits.megabytes:g} MB', {'Connection': 'close'})
        return message
    return type(request)(request.scope, receive)


async def _read_form(request, limits: Limits) -> list[Upload]:
    from starlette.exceptions import HTTPException
    try:
        form = await request.form(max_files=limits.images, max_fields=limits.images)
    except HTTPException as error:
        raise Refused(400, f'the form cannot be read, or holds more than {limits.images} files: {error.detail}'
                      ) from error
    try:
        return [Upload(_last_part(value.filename), await value.read())
                for _, value in form.multi_items() if hasattr(value, 'filename')]
    finally:
        await form.close()


def _last_part(name: str | None) -> str:
    """The name of a file without folders, whichever system it comes from."""
    return PureWindowsPath(PurePosixPath(name or '').name).name[:100] or 'image'
